// The mouse: left adds, right or shift+click removes; in the select tool a click picks an object.
import type MapBrowserEvent from "ol/MapBrowserEvent";
import { click, refine } from "../actions/session";
import { toPixel } from "../map/geometry";
import { objectAt } from "../map/objectsLayer";
import { map } from "../map/view";
import { state } from "../state";
import { calledOff, callOff, dragging } from "./press";

const place = (event: MapBrowserEvent) => toPixel(event.coordinate);

export function watchPointer(): void {
  map.on("click", (event) => {
    if (calledOff()) return;
    const { x, y } = place(event);
    const { tool } = state.now;
    if (tool === "click") click(x, y, !(event.originalEvent as MouseEvent).shiftKey);
    if (tool === "select") state.set({ selected: objectAt(x, y)?.id ?? null });
  });
  map.on("dblclick", (event) => {
    const { x, y } = place(event);
    if (state.now.tool === "select" && !calledOff()) refine(objectAt(x, y)?.id ?? null);
  });
  map.on("pointermove", (event) => state.set({ pointer: place(event) }));

  const viewport = map.getViewport() as HTMLElement;
  viewport.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    // What the other button is held for comes to nothing; neither does this one in mid-drag.
    const slip = dragging();
    callOff();
    if (state.now.tool !== "click" || slip) return;
    const { x, y } = toPixel(map.getEventCoordinate(event));
    click(x, y, false);
  });
  viewport.addEventListener("pointerleave", () => state.set({ pointer: null }));
  state.on(["tool"], () => {
    viewport.dataset.tool = state.now.tool;
  });
}
