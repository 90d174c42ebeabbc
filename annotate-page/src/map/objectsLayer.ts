// Finished objects on the map.
import Feature, { type FeatureLike } from "ol/Feature";
import VectorLayer from "ol/layer/Vector";
import VectorImageLayer from "ol/layer/VectorImage";
import VectorSource from "ol/source/Vector";
import type { Style } from "ol/style";
import type { MultiPolygon, Polygon } from "ol/geom";
import { classOf, state } from "../state";
import type { Annotation, Id } from "../types";
import { shapeToMap, toMap } from "./geometry";
import { NO_CLASS, selectedStyles, shapeStyles } from "./styles";

/** Its object is a field, not one of OpenLayers' properties: it is read very often. */
class ObjectFeature extends Feature<Polygon | MultiPolygon> {
  constructor(public object: Annotation) {
    super(shapeToMap(object.geometry));
  }

  update(object: Annotation): void {
    this.object = object;
    this.setGeometry(shapeToMap(object.geometry));
  }
}

export const objectSource = new VectorSource<ObjectFeature>();
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
  for (const [id, feature] of known) {
    if (objects.has(id)) continue;
    objectSource.removeFeature(feature);
    known.delete(id);
  }
  const added: ObjectFeature[] = [];
  for (const object of objects.values()) {
    const feature = known.get(object.id);
    if (feature?.object === object) continue;
    if (feature) feature.update(object);
    else {
      const fresh = new ObjectFeature(object);
      known.set(object.id, fresh);
      added.push(fresh);
    }
  }
  objectSource.addFeatures(added);
}

/** The smallest object at a pixel position, or null. */
export function objectAt(x: number, y: number): Annotation | null {
  const under = objectSource.getFeaturesAtCoordinate(toMap(x, y)).map(({ object }) => object);
  return under.sort((a, b) => a.area_px - b.area_px)[0] ?? null;
}

export function watchObjects(): void {
  state.on(["objects"], synchronise);
  state.on(["objects", "hidden"], showLayer);
  state.on(["project", "session", "selected", "outlineOnly", "opacity", "tool"], () =>
    objectLayers.find((layer) => layer.getVisible())?.changed(),
  );
}
