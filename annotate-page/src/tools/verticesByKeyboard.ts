// Corners without a mouse: the keyboard's cursor takes one up, carries it and puts it down.
import type { Coordinate } from "ol/coordinate";
import { closestOnSegment } from "ol/coordinate";
import { toMap, toPixel } from "../map/geometry";
import { map } from "../map/view";
import { toast } from "../ui/toast";
import { changeRings, editedRings } from "./vertices";

type Position = { x: number; y: number };
type Rings = Coordinate[][];
type Corner = { ring: number; index: number; number: number };

const NEAR = 12; // screen pixels

let held: (Corner & { after: Rings }) | null = null;
let last = -1; // the number of the corner that was stepped to or touched

/** Every corner once, numbered: the last point of a ring repeats its first. */
const all = (rings: Rings): Corner[] =>
  rings
    .flatMap((points, ring) => points.slice(1).map((_, index) => ({ ring, index })))
    .map((corner, number) => ({ ...corner, number }));

const distance = ([ax = 0, ay = 0]: Coordinate, [bx = 0, by = 0]: Coordinate) =>
  Math.hypot(ax - bx, ay - by);

const pointOf = (rings: Rings, { ring, index }: Pick<Corner, "ring" | "index">): Coordinate =>
  rings[ring]?.[index] ?? [];

/** The corner for which `far` is least, if that is near enough. */
function nearest(rings: Rings, far: (corner: Corner) => number): Corner | null {
  let best: Corner | null = null;
  let least = NEAR * (map.getView().getResolution() ?? 1);
  for (const corner of all(rings)) {
    const away = far(corner);
    if (away <= least) [best, least] = [corner, away];
  }
  return best;
}

/** The rings with some points of one in place of `count` others. */
function spliced(rings: Rings, { ring, index }: Corner, count: number, ...put: Coordinate[]) {
  return rings.map((points, number) => {
    if (number !== ring) return points;
    const open = points.slice(0, -1);
    open.splice(index, count, ...put);
    return [...open, open[0] ?? []];
  });
}

const same = (a: Rings, b: Rings) => JSON.stringify(a) === JSON.stringify(b);

/** Takes up the corner here or a new one on the edge here, or puts down the one that is held. */
export function pressCorner(at: Position): boolean {
  const rings = editedRings();
  if (held || !rings) {
    held = null;
    return false;
  }
  const here = toMap(at.x, at.y);
  const corner = nearest(rings, (one) => distance(here, pointOf(rings, one)));
  const edge = nearest(rings, (one) => {
    const segment = [pointOf(rings, one), pointOf(rings, { ...one, index: one.index + 1 })];
    return distance(here, closestOnSegment(here, segment));
  });
  const added = edge && { ...edge, index: edge.index + 1, number: edge.number + 1 };
  const taken = corner ?? added;
  if (!taken) {
    toast("No corner or edge here; N goes to the next corner");
    return false;
  }
  const after = corner ? rings : spliced(rings, taken, 0, here);
  changeRings(after, true);
  held = { ...taken, after };
  last = taken.number;
  return true;
}

/** The corner that is held comes along. */
export function dragCorner(at: Position): void {
  const rings = editedRings();
  // Undone meanwhile, or simplified.
  if (!held || !rings || !same(rings, held.after)) held = null;
  else {
    held.after = spliced(rings, held, 1, toMap(at.x, at.y));
    changeRings(held.after, false);
  }
}

/** Takes the corner here away. */
export function removeCorner(at: Position): void {
  held = null;
  const rings = editedRings();
  const here = toMap(at.x, at.y);
  const corner = rings && nearest(rings, (one) => distance(here, pointOf(rings, one)));
  if (!rings || !corner) toast("No corner here; N goes to the next one");
  else if ((rings[corner.ring]?.length ?? 0) <= 4) toast("Three corners are the least");
  else {
    changeRings(spliced(rings, corner, 1), true);
    last = corner.number - 1; // the next one follows it
  }
}

/** Where the next (1) or previous (-1) corner is. */
export function cornerAfter(step: 1 | -1): Position | null {
  held = null;
  const rings = editedRings() ?? [];
  const corners = all(rings);
  const from = last < 0 && step < 0 ? 0 : last;
  last = (from + step + corners.length) % (corners.length || 1);
  const corner = corners[last];
  return corner ? toPixel(pointOf(rings, corner)) : null;
}

export function forgetCorners(): void {
  held = null;
  last = -1;
}
