// A box starts an object: drag it, or set two corners with the keyboard's cursor.
import DragBox from "ol/interaction/DragBox";
import { primaryAction } from "ol/events/condition";
import { startBox } from "../actions/session";
import { map } from "../map/view";
import { state } from "../state";
import { calledOff } from "./press";

const SMALLEST = 8; // screen pixels: shorter drags are slips

let corner: { x: number; y: number } | null = null;

/** The keyboard's way: the first call sets one corner, the second the other. */
export function boxCorner(x: number, y: number): boolean {
  if (corner) {
    startBox([corner.x, corner.y, x, y]);
    corner = null;
    return false;
  }
  corner = { x, y };
  return true;
}

export function watchBox(): void {
  const drag = new DragBox({
    className: "drag-box",
    condition: (event) => state.now.tool === "box" && primaryAction(event),
    boxEndCondition: (_event, [x0 = 0, y0 = 0], [x1 = 0, y1 = 0]) =>
      !calledOff() && Math.hypot(x1 - x0, y1 - y0) >= SMALLEST,
  });
  drag.on("boxend", () => {
    const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = drag.getGeometry().getExtent();
    startBox([x0, -y1, x1, -y0]);
  });
  map.addInteraction(drag);
  state.on(["tool", "image"], () => {
    corner = null;
  });
}
