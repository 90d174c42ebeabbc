// Undo and redo of what happened to finished objects. The server keeps it; so it is there after a
// reload, and shared by all who work on the image.
import { api } from "../net/api";
import { untilReachable } from "../net/connection";
import { allDone, drawing, setSession } from "../net/operations";
import { Refused, newKey } from "../net/request";
import { state } from "../state";
import { complain, toast } from "../ui/toast";
import type { Id, Outcome } from "../types";
import { apply, inOrder } from "./objects";

export const undoEdit = () => void move("undo", null, state.now.image?.id);
export const redoEdit = () => void move("redo", null, state.now.image?.id);

/** A way back from one edit, for its notice; refused when others came after it. */
export function wayBack(label: string, edit: number): { label: string; run: () => void } {
  const image = state.now.image?.id;
  return { label, run: () => void move("undo", edit, image) };
}

function move(kind: "undo" | "redo", edit: number | null, image: Id | undefined): Promise<void> {
  const key = newKey();
  return inOrder(async () => {
    if (image === undefined) return;
    await allDone(); // what was finished or discarded just now is the last edit
    const outcome = await untilReachable(() => api.moveInHistory(image, kind, { key, edit }));
    if (state.now.image?.id !== image) return; // another one was opened meanwhile
    take(outcome);
    toast(`${kind === "undo" ? "Undone" : "Redone"}: ${outcome.label}`);
  }).catch((error: unknown) => {
    if (error instanceof Refused && error.status === 409) toast(error.message);
    else complain(error);
  });
}

function take({ changed, removed, session }: Outcome): void {
  apply(changed, removed);
  if (!session) return;
  const { unfinished } = state.now;
  if (drawing()) state.set({ unfinished: [...unfinished, session] });
  else {
    state.set({ tool: "click" });
    setSession(session);
  }
}
