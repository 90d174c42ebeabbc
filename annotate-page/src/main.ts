// Puts the page together.
import "ol/ol.css";
import "./style.css";
import "./ui/theme";
import { adopt, begin, refresh, reloadImage } from "./actions/images";
import { apply } from "./actions/objects";
import { discarded } from "./actions/session";
import { highlightLayer, watchHighlight } from "./map/highlightLayer";
import { objectLayers, watchObjects } from "./map/objectsLayer";
import { probabilityLayer, watchProbability } from "./map/probabilityLayer";
import { clickLayer, outlineLayer, watchSession } from "./map/sessionLayer";
import { showTiles, tileLayer } from "./map/tiles";
import { map, showPlane } from "./map/view";
import { watchConnection } from "./net/connection";
import { onEnd, onRefused } from "./net/operations";
import { banner } from "./panels/banner";
import { classPanel } from "./panels/classes";
import { contextBar } from "./panels/contextBar";
import { openImages } from "./panels/images";
import { watchNetworks } from "./panels/networks";
import { objectPanel } from "./panels/objects";
import { scaleBar } from "./panels/scaleBar";
import { statusBar } from "./panels/status";
import { tokenPrompt } from "./panels/tokenPrompt";
import { toolStrip } from "./panels/toolbar";
import { topBar } from "./panels/topBar";
import { state } from "./state";
import type { Picture } from "./types";
import { watchBox } from "./tools/box";
import { watchCursor } from "./tools/cursor";
import { watchPress } from "./tools/press";
import { watchPointer } from "./tools/pointer";
import { watchKeys } from "./tools/shortcuts";
import { vertexLayer, watchVertices } from "./tools/vertices";
import { h } from "./ui/dom";
import { complain } from "./ui/toast";

const canvas = h("div", {
  class: "map",
  tabindex: 0,
  role: "application",
  "aria-label": "Image. Arrow keys move the cursor, Space adds, Shift+Space removes.",
  "data-testid": "map",
});

document
  .getElementById("app")
  ?.append(
    topBar(),
    toolStrip(),
    h("main", {}, canvas, contextBar(), banner(), tokenPrompt(), scaleBar()),
    h("aside", {}, classPanel(), objectPanel()),
    statusBar(),
  );

map.setTarget(canvas);
for (const layer of [
  tileLayer,
  ...objectLayers,
  highlightLayer,
  probabilityLayer,
  outlineLayer,
  vertexLayer,
  clickLayer,
]) {
  map.addLayer(layer);
}

let shown: Picture | null = null;
state.on(["image"], () => {
  const { image } = state.now;
  if (!image) return;
  const resized =
    image.id !== shown?.id || image.width !== shown.width || image.height !== shown.height;
  if (resized) showPlane(image);
  if (resized || image.recipe_hash !== shown?.recipe_hash) showTiles(image);
  shown = image;
});

for (const watch of [
  watchObjects,
  watchHighlight,
  watchSession,
  watchProbability,
  watchPress,
  watchPointer,
  watchBox,
  watchVertices,
  watchCursor,
  watchKeys,
  watchNetworks,
]) {
  watch();
}
watchConnection((project) => {
  adopt(project);
  return reloadImage();
});

onEnd({ finished: (object) => apply([object]), discarded });

onRefused(() => void reloadImage().catch(complain));

let wasReachable = true;
state.on(["reachable"], () => {
  if (state.now.reachable && !wasReachable) void refresh();
  wasReachable = state.now.reachable;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.now.image) void refresh();
});

begin().then(
  () => state.now.image || openImages(),
  (error: Error) => state.set({ fault: error.message }),
);
