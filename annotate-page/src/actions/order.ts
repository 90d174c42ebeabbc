// The order of the object table, which next and previous follow.
import { classOf, state } from "../state";
import type { Annotation } from "../types";
import { zoomToBox } from "../map/view";

export type Column = "id" | "class" | "area" | "clicks" | "agreement";

let column: Column = "id";
let descending = true;

export const order = () => ({ column, descending });

/** How sure the network was of an object of a refined layer, 0 to 1; null where nobody says. */
export function agreementOf({ attributes }: Annotation): number | null {
  const { agreement } = attributes;
  return typeof agreement === "number" ? agreement : null;
}

/** Names from A, the least sure first; else the highest first. A second time turns it round. */
export function sortBy(chosen: Column): void {
  const rising = chosen === "class" || chosen === "agreement";
  descending = chosen === column ? !descending : !rising;
  column = chosen;
}

const keyOf: Record<Column, (one: Annotation) => number | string | null> = {
  id: (one) => one.id,
  class: (one) => classOf(one.class_id)?.name ?? "",
  area: (one) => one.area_px,
  clicks: (one) => one.clicks,
  agreement: agreementOf,
};

/** Those without a value come last, whichever way it goes. */
export function sorted(): Annotation[] {
  const key = keyOf[column];
  const sign = descending ? -1 : 1;
  const compare = <T>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0);
  return [...state.now.objects.values()].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    const byValue =
      a === null || b === null ? compare(a === null, b === null) : sign * compare(a, b);
    return byValue || compare(other.id, one.id);
  });
}

/** Selects the object `steps` after the selected one and brings it into view. */
export function step(steps: number): void {
  const list = sorted();
  if (!list.length) return;
  const at = list.findIndex((one) => one.id === state.now.selected);
  const next = at < 0 ? (steps > 0 ? 0 : list.length - 1) : at + steps;
  const object = list[(next + list.length) % list.length];
  if (!object) return;
  state.set({ selected: object.id });
  zoomToBox(object.bbox);
}
