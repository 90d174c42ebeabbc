// A deleted object that is pointed at in the list: where it was.
import Feature from "ol/Feature";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { state } from "../state";
import { shapeToMap } from "./geometry";
import { NO_CLASS, selectedStyles } from "./styles";

const source = new VectorSource();

export const highlightLayer = new VectorLayer({
  source,
  className: "highlight",
  style: selectedStyles(NO_CLASS, 0.3),
});

export function watchHighlight(): void {
  state.on(["highlighted"], () => {
    const { highlighted } = state.now;
    source.clear(true);
    if (highlighted) source.addFeature(new Feature(shapeToMap(highlighted.geometry)));
    source.changed();
  });
}
