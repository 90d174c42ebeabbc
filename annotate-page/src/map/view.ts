// The map itself: one plain plane of pixels, for every image.
import OlMap from "ol/Map";
import View from "ol/View";
import { defaults as defaultInteractions } from "ol/interaction/defaults";
import DragPan from "ol/interaction/DragPan";
import Projection from "ol/proj/Projection";
import type { Coordinate } from "ol/coordinate";
import { ofProject, state } from "../state";
import type { Box, Picture } from "../types";
import { boxToExtent, toMap } from "./geometry";

export const projection = new Projection({ code: "pixels", units: "pixels" });
const LARGEST_PIXEL = 32; // screen pixels that an image pixel may fill
const PADDING = [64, 48, 48, 48];

export const map = new OlMap({
  controls: [],
  interactions: defaultInteractions({
    doubleClickZoom: false,
    shiftDragZoom: false,
    altShiftDragRotate: false,
    pinchRotate: false,
    keyboard: false,
  }),
});
map.addInteraction(
  new DragPan({ condition: (event) => (event.originalEvent as PointerEvent).button === 1 }),
);

/** A new plane for an image; where the user last looked at it, else all of it. */
export function showPlane(image: Picture): void {
  const extent = boxToExtent([0, 0, image.width, image.height]);
  const whole = Math.max(image.width, image.height);
  const view = new View({
    projection,
    extent,
    constrainOnlyCenter: true,
    showFullExtent: true,
    enableRotation: false,
    minResolution: 1 / LARGEST_PIXEL,
    maxResolution: Math.max(whole / 200, 1),
    constrainResolution: false,
  });
  map.setView(view);
  const kept = JSON.parse(sessionStorage.getItem(ofProject(`view:${image.id}`)) ?? "null") as {
    center: Coordinate;
    resolution: number;
  } | null;
  if (kept) {
    view.setCenter(kept.center);
    view.setResolution(kept.resolution);
  } else view.fit(extent, { padding: PADDING });
  view.on("change:resolution", () => state.set({ resolution: view.getResolution() ?? 1 }));
  state.set({ resolution: view.getResolution() ?? 1 });
}

map.on("moveend", () => {
  const { image } = state.now;
  const view = map.getView();
  const place = { center: view.getCenter(), resolution: view.getResolution() };
  if (image) sessionStorage.setItem(ofProject(`view:${image.id}`), JSON.stringify(place));
});

/** Brings a box into view with some surroundings; never closer than 4 screen pixels a pixel. */
export function zoomToBox(box: Box): void {
  const view = map.getView();
  const resolution = view.getResolution() ?? 1;
  const extent = boxToExtent(box);
  const visible = view.calculateExtent(map.getSize());
  const wide = ((extent[2] ?? 0) - (extent[0] ?? 0)) * 1.6;
  const room = (visible[2] ?? 0) - (visible[0] ?? 0);
  // Objects of about the present size keep the zoom: no jumping while stepping through.
  const keep = wide < room && wide > room / 12;
  view.fit(extent, {
    padding: keep ? [0, 0, 0, 0] : [120, 120, 120, 120],
    minResolution: keep ? resolution : 0.25,
    duration: 200,
  });
}

export function fitAll(): void {
  const { image } = state.now;
  if (!image) return;
  const extent = boxToExtent([0, 0, image.width, image.height]);
  map.getView().fit(extent, { padding: PADDING, duration: 200 });
}

/** Zooms by a factor about a pixel position (default: the centre). */
export function zoomBy(factor: number, about?: { x: number; y: number }): void {
  const view = map.getView();
  const anchor = about ? toMap(about.x, about.y) : view.getCenter();
  view.cancelAnimations();
  view.adjustResolution(1 / factor, anchor);
}
