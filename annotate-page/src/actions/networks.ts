// The network that answers clicks.
import { api } from "../net/api";
import { toast } from "../ui/toast";
import { adopt } from "./images";

/** Objects and clicks stay; the next click is answered by it. */
export async function useNetwork(name: string): Promise<void> {
  adopt(await api.useNetwork(name));
  toast(`${name} answers the next click`);
}
