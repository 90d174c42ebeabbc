// Finished objects on the map.
import Feature from "ol/Feature";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import type { Style } from "ol/style";
import type { MultiPolygon, Polygon } from "ol/geom";
import { classOf, state } from "../state";
import type { Annotation, Id } from "../types";
import { shapeToMap, toMap } from "./geometry";
import { NO_CLASS, selectedStyles, shapeStyles } from "./styles";

type ObjectFeature = Feature<Polygon | MultiPolygon>;

export const objectSource = new VectorSource<ObjectFeature>();
const cache = new Map<string, Style[]>();

const COARSE = 3; // pixels per screen pixel: beyond, objects are small and many, their lines thin

function styleOf(feature: ObjectFeature, resolution: number): Style[] | undefined {
  const object = feature.get("object") as Annotation;
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

export const objectLayer = new VectorLayer({
  source: objectSource,
  className: "objects",
  style: (feature, resolution) => styleOf(feature as ObjectFeature, resolution),
});

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
    if (feature?.get("object") === object) continue;
    if (feature) {
      feature.set("object", object, true);
      feature.setGeometry(shapeToMap(object.geometry));
    } else {
      const fresh: ObjectFeature = new Feature(shapeToMap(object.geometry));
      fresh.set("object", object, true);
      known.set(object.id, fresh);
      added.push(fresh);
    }
  }
  objectSource.addFeatures(added);
}

/** The smallest object at a pixel position, or null. */
export function objectAt(x: number, y: number): Annotation | null {
  const under = objectSource
    .getFeaturesAtCoordinate(toMap(x, y))
    .map((feature) => feature.get("object") as Annotation);
  return under.sort((a, b) => a.area_px - b.area_px)[0] ?? null;
}

export function watchObjects(): void {
  state.on(["objects"], synchronise);
  state.on(["hidden"], () => objectLayer.setVisible(!state.now.hidden));
  state.on(["project", "session", "selected", "outlineOnly", "opacity", "tool"], () =>
    objectLayer.changed(),
  );
}
