// Finished objects: selecting, changing, deleting. The server remembers every change, for undo.
import { api } from "../net/api";
import { untilReachable } from "../net/connection";
import { state } from "../state";
import { complain, toast } from "../ui/toast";
import type { Annotation, Id, Shape } from "../types";
import { drawing } from "../net/operations";

let last: Promise<unknown> = Promise.resolve();

/** One request after the other: an undo must not overtake what it is to undo. */
export function inOrder<T>(task: () => Promise<T>): Promise<T> {
  state.set({ changing: state.now.changing + 1 });
  const result = last.then(task).finally(() => state.set({ changing: state.now.changing - 1 }));
  last = result.catch(() => undefined);
  return result;
}

/** Objects as they are now, and those that are deleted. */
export function apply(changed: Annotation[], removed: Id[] = []): void {
  const { selected, deleted, objects: before } = state.now;
  const objects = new Map(before);
  for (const one of changed) objects.set(one.id, one);
  for (const id of removed) objects.delete(id);
  state.set({ objects, selected: selected !== null && objects.has(selected) ? selected : null });
  if (!deleted) return;
  const gone = new Set(removed);
  const known = new Map([...before.values(), ...deleted].map((one) => [one.id, one]));
  const first = removed.flatMap((id) => known.get(id) ?? []);
  const rest = deleted.filter((one) => !objects.has(one.id) && !gone.has(one.id));
  state.set({ deleted: [...first, ...rest] });
}

export async function reload(): Promise<void> {
  const { image } = state.now;
  if (!image) return;
  state.set({ listing: true });
  const list = await untilReachable(() => api.objects(image.id)).finally(() =>
    state.set({ listing: false }),
  );
  if (state.now.image?.id !== image.id) return; // another one was opened meanwhile
  const { selected, objects: before } = state.now;
  // What did not change stays the same thing, so that the map draws only what did.
  const same = (one: Annotation) => {
    const old = before.get(one.id);
    return old && JSON.stringify(old) === JSON.stringify(one) ? old : one;
  };
  const objects = new Map(list.map((one) => [one.id, same(one)]));
  state.set({ objects, selected: selected !== null && objects.has(selected) ? selected : null });
}

async function restoreNow(id: Id): Promise<void> {
  apply([await inOrder(() => untilReachable(() => api.restoreObject(id)))]);
}

export const restore = (id: Id) => void restoreNow(id).catch(complain);

export function remove(id: Id | null): void {
  if (id === null) return;
  if (state.now.session?.object_id === id) {
    toast("This object is being corrected: finish (Enter) or cancel (Esc) first");
    return;
  }
  inOrder(() => untilReachable(() => api.deleteObject(id))).then(() => {
    apply([], [id]);
    toast(`Object ${id} deleted`, { action: { label: "Restore", run: () => restore(id) } });
  }, complain);
}

type Change = Parameters<typeof api.patchObject>[1];

async function change(id: Id, what: Change): Promise<void> {
  apply([await inOrder(() => untilReachable(() => api.patchObject(id, what)))]);
}

export const setGeometry = ({ id }: Annotation, geometry: Shape) => change(id, { geometry });

export const setAttributes = ({ id }: Annotation, attributes: Record<string, unknown>) =>
  change(id, { attributes });

/** The class of what comes next; also of the selected object while nothing is being drawn. */
export function chooseClass(id: Id): void {
  state.set({ activeClass: id });
  const { selected, objects } = state.now;
  const object = selected === null || drawing() ? undefined : objects.get(selected);
  if (!object || object.class_id === id) return;
  change(object.id, { class_id: id }).catch(complain);
}
