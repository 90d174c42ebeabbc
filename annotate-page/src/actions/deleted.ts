// The list of deleted objects.
import { api } from "../net/api";
import { untilReachable } from "../net/connection";
import { state } from "../state";
import { complain } from "../ui/toast";

/** Shows it in place of the objects, or these again. */
export function toggleDeleted(): void {
  const { image, deleted } = state.now;
  state.set({ deleted: null, highlighted: null });
  if (!image || deleted) return;
  untilReachable(() => api.deletedObjects(image.id)).then((list) => {
    if (state.now.image?.id === image.id) state.set({ deleted: list });
  }, complain);
}
