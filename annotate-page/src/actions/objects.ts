// Finished objects: selecting, changing, deleting. Every change can be undone.
import { api } from "../net/api";
import { untilReachable } from "../net/connection";
import { Refused } from "../net/request";
import { classOf, state } from "../state";
import { complain, toast } from "../ui/toast";
import type { Annotation, Id, Shape } from "../types";
import { record } from "./history";
import { drawing } from "../net/operations";

export function put(object: Annotation): void {
  state.set({ objects: new Map(state.now.objects).set(object.id, object) });
}

function drop(id: Id): void {
  const objects = new Map(state.now.objects);
  objects.delete(id);
  state.set({ objects, selected: state.now.selected === id ? null : state.now.selected });
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

/** A new object came out of a session: undo takes it away again. */
export function finished(object: Annotation): void {
  const isNew = !state.now.objects.has(object.id);
  put(object);
  if (!isNew) return;
  record({
    name: `object ${object.id}`,
    undo: () => deleteNow(object.id),
    redo: () => restoreNow(object.id),
  });
}

async function deleteNow(id: Id): Promise<void> {
  await untilReachable(async (again) => {
    try {
      await api.deleteObject(id);
    } catch (error) {
      if (!(again && error instanceof Refused && error.status === 404)) throw error;
    }
  });
  drop(id);
}

async function restoreNow(id: Id): Promise<void> {
  put(await untilReachable(() => api.restoreObject(id)));
}

export function remove(id: Id | null): void {
  if (id === null) return;
  if (state.now.session?.object_id === id) {
    toast("This object is being corrected: finish (Enter) or cancel (Esc) first");
    return;
  }
  deleteNow(id).then(() => {
    const restore = () => void restoreNow(id).catch(complain);
    toast(`Object ${id} deleted`, { action: { label: "Restore", run: restore } });
    record({ name: `delete object ${id}`, undo: () => restoreNow(id), redo: () => deleteNow(id) });
  }, complain);
}

type Change = Parameters<typeof api.patchObject>[1];

async function change(id: Id, name: string, after: Change, before: Change): Promise<void> {
  const apply = async (one: Change) => put(await untilReachable(() => api.patchObject(id, one)));
  await apply(after);
  record({ name, undo: () => apply(before), redo: () => apply(after) });
}

export async function setGeometry(object: Annotation, geometry: Shape): Promise<void> {
  const before = { geometry: object.geometry };
  await change(object.id, `edit object ${object.id}`, { geometry }, before);
}

export async function setAttributes(
  object: Annotation,
  attributes: Record<string, unknown>,
): Promise<void> {
  const before = { attributes: object.attributes };
  await change(object.id, `attributes of object ${object.id}`, { attributes }, before);
}

/** The class of what comes next; also of the selected object while nothing is being drawn. */
export function chooseClass(id: Id): void {
  state.set({ activeClass: id });
  const { selected, objects } = state.now;
  const object = selected === null || drawing() ? undefined : objects.get(selected);
  if (!object || object.class_id === id) return;
  const name = `object ${object.id} is ${classOf(id)?.name ?? "without class"}`;
  change(object.id, name, { class_id: id }, { class_id: object.class_id }).catch(complain);
}
