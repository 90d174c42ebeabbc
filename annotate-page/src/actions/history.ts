// Undo and redo of what happened to finished objects (clicks have theirs on the server).
import { complain, toast } from "../ui/toast";

export interface Deed {
  name: string;
  undo: () => Promise<void>;
  redo: () => Promise<void>;
}

const done: Deed[] = [];
const undone: Deed[] = [];

export function record(deed: Deed): void {
  done.push(deed);
  undone.length = 0;
}

export function forget(): void {
  done.length = undone.length = 0;
}

export const undoDeed = () => move(done, undone, "undo", "Undone");
export const redoDeed = () => move(undone, done, "redo", "Redone");

function move(from: Deed[], to: Deed[], direction: "undo" | "redo", word: string): void {
  const deed = from.pop();
  if (!deed) return;
  deed[direction]().then(() => {
    to.push(deed);
    toast(`${word}: ${deed.name}`);
  }, complain);
}
