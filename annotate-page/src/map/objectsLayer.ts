// Finished objects on the map.
import type { FeatureLike } from "ol/Feature";
import VectorLayer from "ol/layer/Vector";
import VectorImageLayer from "ol/layer/VectorImage";
import VectorSource from "ol/source/Vector";
import type { Style } from "ol/style";
import { classOf, state } from "../state";
import type { Annotation, Box, Id } from "../types";
import { boxToExtent, shapeToMap, toMap } from "./geometry";
import { ObjectFeature } from "./objectFeature";
import { NO_CLASS, selectedStyles, shapeStyles } from "./styles";

const objectSource = new VectorSource<ObjectFeature>();
const cache = new Map<string, Style[]>();

const MANY = 3000; // objects: beyond, they are drawn anew only when the map stands still
const COARSE = 3; // pixels per screen pixel: beyond, objects are small and many, their lines thin

function styleOf(feature: ObjectFeature, resolution: number): Style[] | undefined {
  const { object } = feature;
  const { session, selected, outlineOnly, opacity, tool } = state.now;
  if (session?.object_id === object.id) return undefined; // its correction is shown instead
  if (tool === "vertices" && selected === object.id) return undefined;
  const colour = classOf(object.class_id)?.colour ?? NO_CLASS;
  const fill = outlineOnly ? 0 : opacity;
  const chosen = selected === object.id;
  const width = resolution > COARSE ? 1 : 1.75;
  const key = `${colour} ${fill} ${chosen || width}`;
  let styles = cache.get(key);
  if (!styles) {
    styles = chosen ? selectedStyles(colour, fill) : shapeStyles(colour, fill, width);
    cache.set(key, styles);
  }
  return styles;
}

const classIdOf = (feature: FeatureLike) => (feature as ObjectFeature).object.class_id ?? 0;

const look = {
  source: objectSource,
  style: (feature: FeatureLike, resolution: number) =>
    styleOf(feature as ObjectFeature, resolution),
};
const few = new VectorLayer({ ...look, className: "objects" });
// While the map moves, a picture of them moves along, half as wide again as what is in sight.
const many = new VectorImageLayer({
  ...look,
  className: "objects",
  imageRatio: 1.5,
  renderOrder: (a, b) => classIdOf(a) - classIdOf(b), // those of one colour are painted together
});

/** Of which one is shown. */
export const objectLayers = [few, many];

function showLayer(): void {
  const crowded = state.now.objects.size > MANY;
  // Fills of thousands are painted together, as if none lay on another.
  if (objectSource.getOverlaps() === crowded) objectSource.setOverlaps(!crowded);
  few.setVisible(!state.now.hidden && !crowded);
  many.setVisible(!state.now.hidden && crowded);
}

const known = new Map<Id, ObjectFeature>();

function synchronise(): void {
  const { objects } = state.now;
  const removed = [...known.values()].filter(({ object }) => objects.get(object.id) !== object);
  if (removed.length === known.size) {
    // Another image: much quicker than one by one.
    objectSource.clear(true);
    known.clear();
  } else {
    objectSource.removeFeatures(removed);
    for (const { object } of removed) known.delete(object.id);
  }
  const added: ObjectFeature[] = [];
  for (const object of objects.values()) {
    if (known.has(object.id)) continue;
    const feature = new ObjectFeature(object);
    known.set(object.id, feature);
    added.push(feature);
  }
  objectSource.addFeatures(added);
}

/** The objects whose boxes meet a box, in no order. */
export function objectsIn(box: Box): Annotation[] {
  return objectSource.getFeaturesInExtent(boxToExtent(box)).map(({ object }) => object);
}

/** The smallest object at a pixel position, or null. */
export function objectAt(x: number, y: number): Annotation | null {
  const under = objectsIn([x, y, x, y]).filter(({ geometry }) =>
    shapeToMap(geometry).intersectsCoordinate(toMap(x, y)),
  );
  return under.sort((a, b) => a.area_px - b.area_px)[0] ?? null;
}

export function watchObjects(): void {
  state.on(["objects"], synchronise);
  state.on(["objects", "hidden"], showLayer);
  state.on(["project", "session", "selected", "outlineOnly", "opacity", "tool"], () =>
    objectLayers.find((layer) => layer.getVisible())?.changed(),
  );
}
