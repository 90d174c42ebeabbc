// The keyboard's crosshair, for work without a mouse.
import Overlay from "ol/Overlay";
import { click } from "../actions/session";
import { toMap, toPixel } from "../map/geometry";
import { objectAt } from "../map/objectsLayer";
import { map } from "../map/view";
import { state } from "../state";
import { h } from "../ui/dom";
import { boxCorner } from "./box";
import {
  cornerAfter,
  dragCorner,
  forgetCorners,
  pressCorner,
  removeCorner,
} from "./verticesByKeyboard";

const EDGE = 48; // screen pixels: nearer to the border the map moves along

const element = h("div", { class: "cursor", "data-testid": "cursor", "aria-hidden": "true" });
const overlay = new Overlay({ element, positioning: "center-center", stopEvent: false });
let at: { x: number; y: number } | null = null;

function centre(): { x: number; y: number } {
  return toPixel(map.getView().getCenter() ?? [0, 0]);
}

function place(position: { x: number; y: number } | null): void {
  at = position;
  overlay.setPosition(at ? toMap(at.x, at.y) : undefined);
  if (at) state.set({ pointer: at });
}

/** Where keyboard zooming and clicking happens. */
export const cursorAt = () => at;

/** Moves by screen pixels; the first use puts the cursor into the middle. */
export function moveCursor(right: number, down: number): void {
  const { image } = state.now;
  if (!image) return;
  const view = map.getView();
  const resolution = view.getResolution() ?? 1;
  const from = at ?? centre();
  const clamp = (value: number, most: number) => Math.min(Math.max(value, 0), most - 0.001);
  place({
    x: clamp(from.x + right * resolution, image.width),
    y: clamp(from.y + down * resolution, image.height),
  });
  if (!at) return;
  if (state.now.tool === "vertices") dragCorner(at);
  follow();
}

/** The map moves where the cursor comes too near to its border. */
function follow(): void {
  if (!at) return;
  const view = map.getView();
  const resolution = view.getResolution() ?? 1;
  const [width = 0, height = 0] = map.getSize() ?? [];
  const [left = 0, top = 0] = map.getPixelFromCoordinate(toMap(at.x, at.y)) ?? [];
  const out = (value: number, most: number) =>
    value < EDGE ? value - EDGE : value > most - EDGE ? value - most + EDGE : 0;
  const [dx, dy] = [out(left, width), out(top, height)];
  const middle = view.getCenter();
  if (middle && (dx || dy)) {
    view.setCenter([(middle[0] ?? 0) + dx * resolution, (middle[1] ?? 0) - dy * resolution]);
  }
}

/** What a mouse button would do here. */
export function pressCursor(positive: boolean): void {
  if (!at) place(centre());
  if (!at) return;
  const { tool } = state.now;
  if (tool === "click") click(at.x, at.y, positive);
  if (tool === "select") state.set({ selected: objectAt(at.x, at.y)?.id ?? null });
  if (tool === "box") element.classList.toggle("corner", boxCorner(at.x, at.y));
  if (tool !== "vertices") return;
  if (positive) element.classList.toggle("corner", pressCorner(at));
  else removeCorner(at);
}

/** To the next (1) or previous (-1) corner of the outline that is edited. */
export function stepCorner(step: 1 | -1): void {
  const corner = cornerAfter(step);
  element.classList.remove("corner");
  if (corner) place(corner);
  follow();
}

export function watchCursor(): void {
  map.addOverlay(overlay);
  map.on("pointermove", () => place(null));
  state.on(["tool"], () => {
    element.classList.remove("corner");
    forgetCorners();
  });
  state.on(["image"], () => place(null));
}
