// A button of the pointer that is held down on the map: what it began can be called off, so that
// letting go means nothing.
import { map } from "../map/view";
import { state } from "../state";

const viewport = map.getViewport() as HTMLElement;
let held: PointerEvent | null = null;
let moved = false;
let off = false;

/** Whether the pointer is being dragged. */
export const dragging = () => held !== null && moved;

/** Whether the last press was called off, by us or by the system; the map makes a click of it. */
export const calledOff = () => off;

/** Ends the press, as the system would: as a cancelled one. False when there is none. */
export function callOff(): boolean {
  if (!held) return false;
  const { pointerId, pointerType, clientX, clientY } = held;
  held = null;
  viewport.dispatchEvent(
    new PointerEvent("pointercancel", {
      pointerId,
      pointerType,
      clientX,
      clientY,
      bubbles: true,
    }),
  );
  return true;
}

const inWindow = ({ clientX: x, clientY: y }: PointerEvent) =>
  x >= 0 && y >= 0 && x <= innerWidth && y <= innerHeight;

export function watchPress(): void {
  viewport.addEventListener("pointerdown", (event) => {
    held ??= event;
    moved = off = false;
  });
  map.on("pointerdrag", () => {
    moved = true;
  });
  // Before the map hears of it.
  const over = (event: PointerEvent) => {
    if (event.type === "pointercancel") off = true;
    if (event.pointerId !== held?.pointerId) return;
    if (event.type === "pointerup" && !inWindow(event)) callOff();
    held = null;
  };
  addEventListener("pointerup", over, true);
  addEventListener("pointercancel", over, true);
  // Let go where the page could not see it.
  addEventListener(
    "pointermove",
    (event) => {
      if (event.pointerId === held?.pointerId && event.buttons === 0) callOff();
    },
    true,
  );
  addEventListener("blur", callOff);
  state.on(["tool", "image"], callOff);
}
