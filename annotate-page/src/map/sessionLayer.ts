// The object being drawn: its outline and its clicks, confirmed or on their way.
import Feature from "ol/Feature";
import { Point } from "ol/geom";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { state } from "../state";
import type { Click } from "../types";
import { shapeToMap, toMap } from "./geometry";
import { CLICK, LIVE, shapeStyles } from "./styles";

const outline = new VectorSource();
const clicks = new VectorSource();

export const outlineLayer = new VectorLayer({ source: outline, className: "live-outline" });
export const clickLayer = new VectorLayer({ source: clicks, className: "clicks" });

function clickFeature({ x, y, positive }: Click, confirmed: boolean): Feature {
  const feature = new Feature(new Point(toMap(x, y)));
  const look = positive ? CLICK.positive : CLICK.negative;
  feature.setStyle(confirmed ? look.confirmed : look.pending);
  return feature;
}

export function watchSession(): void {
  state.on(["session"], () => {
    const shape = state.now.session?.geometry;
    outline.clear(true);
    if (shape) outline.addFeature(new Feature(shapeToMap(shape)));
    outline.changed();
  });
  state.on(["session", "pending"], () => {
    const { session, pending } = state.now;
    clicks.clear(true);
    clicks.addFeatures([
      ...(session?.clicks ?? []).map((click) => clickFeature(click, true)),
      ...pending.map((click) => clickFeature(click, false)),
    ]);
    clicks.changed();
  });
  state.on(["outlineOnly", "opacity", "probability"], () => {
    const { outlineOnly, opacity, probability } = state.now;
    outlineLayer.setStyle(shapeStyles(LIVE, outlineOnly || probability ? 0 : opacity, 2.25));
  });
}
