// Drawing one object by clicks.
import { newKey } from "../net/request";
import { allDone, drawing, enqueue, setSession } from "../net/operations";
import { state } from "../state";
import { toast } from "../ui/toast";
import type { Box, Click, Id, Session } from "../types";
import { redoEdit, undoEdit, wayBack } from "./history";

const clickOperation = ({ x, y, positive }: Click) =>
  ({ kind: "click", x, y, positive, key: newKey() }) as const;

function inside(x: number, y: number): boolean {
  const { image } = state.now;
  return !!image && x >= 0 && y >= 0 && x < image.width && y < image.height;
}

/** A click at a pixel position; starts an object where none is being drawn. */
export function click(x: number, y: number, positive: boolean): void {
  const { image } = state.now;
  if (!image || !inside(x, y)) return;
  if (!drawing()) {
    if (!positive) {
      toast("Nothing to remove from yet: start an object with a left click");
      return;
    }
    enqueue({ kind: "start", image: image.id, key: newKey() });
    state.set({ selected: null });
  }
  enqueue(clickOperation({ x, y, positive }));
}

export function startBox(box: Box): void {
  const { image } = state.now;
  if (!image) return;
  if (drawing()) {
    toast("Finish (Enter) or cancel (Esc) the object first");
    return;
  }
  const [x0, y0, x1, y1] = box;
  const clip = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  const clipped: Box = [
    clip(Math.min(x0, x1), image.width),
    clip(Math.min(y0, y1), image.height),
    clip(Math.max(x0, x1), image.width),
    clip(Math.max(y0, y1), image.height),
  ];
  if (clipped[2] - clipped[0] < 1 || clipped[3] - clipped[1] < 1) return;
  enqueue({ kind: "start", image: image.id, box: clipped, key: newKey() });
  state.set({ tool: "click", selected: null });
}

/** Clicks from now on correct a finished object. */
export function refine(id: Id | null): void {
  const { image } = state.now;
  if (!image || id === null) return;
  if (drawing()) {
    toast("Finish (Enter) or cancel (Esc) the object first");
    return;
  }
  const activeClass = state.now.objects.get(id)?.class_id ?? null; // kept unless another is chosen
  enqueue({ kind: "start", image: image.id, object: id, key: newKey() });
  state.set({ tool: "click", selected: id, activeClass });
}

export function undo(): void {
  if (drawing()) enqueue({ kind: "undo", key: newKey() });
  else undoEdit();
}

export function redo(): void {
  if (drawing()) enqueue({ kind: "redo", key: newKey() });
  else redoEdit();
}

export function finish(): void {
  const { session, pending } = state.now;
  if (!drawing()) return;
  if (!pending.length && !session?.geometry) {
    toast("There is nothing to keep yet");
    return;
  }
  enqueue({ kind: "finish", classId: state.now.activeClass });
}

/** Discards the object being drawn; undo brings it back. */
export function cancel(): void {
  if (drawing()) enqueue({ kind: "cancel" });
}

/** Says so, and how to get it back. */
export function discarded(session: Session, edit: number | null): void {
  if (edit === null) return;
  const what = session.object_id === null ? "Object" : "Correction";
  toast(`${what} discarded`, { action: wayBack("Bring back", edit) });
}

/** Goes on with an object that was left unfinished; the present one waits in its stead. */
export async function resume(session: Session): Promise<void> {
  await allDone();
  const { session: present, unfinished } = state.now;
  const others = unfinished.filter((one) => one.id !== session.id);
  state.set({ unfinished: present ? [...others, present] : others, tool: "click" });
  setSession(session);
}
