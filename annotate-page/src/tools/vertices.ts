// Corners by hand, after the model: drag, add and (Alt+click) take away; snaps to other objects.
import Collection from "ol/Collection";
import type { Coordinate } from "ol/coordinate";
import Feature from "ol/Feature";
import { altKeyOnly, primaryAction, singleClick } from "ol/events/condition";
import { LineString, MultiPoint, MultiPolygon, Polygon } from "ol/geom";
import Modify from "ol/interaction/Modify";
import Snap from "ol/interaction/Snap";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { Fill, Stroke, Style } from "ol/style";
import { setGeometry } from "../actions/objects";
import { shapeFromMap, shapeToMap } from "../map/geometry";
import { objectsIn } from "../map/objectsLayer";
import { LIVE, VERTEX, translucent } from "../map/styles";
import { map } from "../map/view";
import { drawing } from "../net/operations";
import { state } from "../state";
import { calledOff } from "./press";
import { complain, toast } from "../ui/toast";
import type { Annotation } from "../types";

type Area = Polygon | MultiPolygon;

const feature = new Feature<Area>();
const neighbours = new Collection<Feature>();
const undoable: Area[] = [];
const redoable: Area[] = [];
let edited: Annotation | null = null;

const corners = (geometry: Area) =>
  geometry instanceof Polygon ? geometry.getCoordinates() : geometry.getCoordinates().flat();

export const vertexCount = () => {
  const geometry = edited && feature.getGeometry();
  return geometry ? corners(geometry).reduce((sum, ring) => sum + ring.length - 1, 0) : 0;
};

export const vertexLayer = new VectorLayer({
  source: new VectorSource({ features: [feature], useSpatialIndex: false }),
  className: "vertices",
  visible: false,
  style: [
    new Style({
      stroke: new Stroke({ color: LIVE, width: 2 }),
      fill: new Fill({ color: translucent(LIVE, 0.12) }),
    }),
    new Style({
      image: VERTEX,
      geometry: (shown) => new MultiPoint(corners(shown.getGeometry() as Area).flat()),
    }),
  ],
});

const listeners = new Set<() => void>();
export const onVertices = (run: () => void) => listeners.add(run);
const tell = () => listeners.forEach((run) => run());

function show(geometry: Area): void {
  feature.setGeometry(geometry);
  tell();
}

function move(from: Area[], to: Area[]): void {
  const geometry = from.pop();
  const present = feature.getGeometry();
  if (!geometry || !present) return;
  to.push(present.clone());
  show(geometry);
}

export const undoVertices = () => move(undoable, redoable);
export const redoVertices = () => move(redoable, undoable);

/** The outline's rings one after the other, the last point of each being its first. */
export const editedRings = (): Coordinate[][] | null => {
  const geometry = edited && feature.getGeometry();
  return geometry ? corners(geometry) : null;
};

/** As many other rings in their place; `step`: undo comes back to what was there before. */
export function changeRings(rings: Coordinate[][], step: boolean): void {
  const present = feature.getGeometry();
  if (!present) return;
  if (step) remember();
  const rest = [...rings];
  show(
    present instanceof Polygon
      ? new Polygon(rest)
      : new MultiPolygon(present.getCoordinates().map((part) => rest.splice(0, part.length))),
  );
}

function remember(): void {
  const present = feature.getGeometry();
  if (present) undoable.push(present.clone());
  redoable.length = 0;
}

/** Fewer corners: none moves the outline by more than `tolerance` pixels. */
export function simplifyVertices(tolerance: number): void {
  const present = feature.getGeometry();
  if (!present) return;
  // As lines: polygons are simplified for drawing only, by moving corners onto a grid.
  const fewer = (ring: Coordinate[]) =>
    (new LineString(ring).simplify(tolerance ** 2) as LineString).getCoordinates();
  const simple = corners(present).map(fewer);
  if (simple.some((ring) => ring.length < 4)) toast(`At ${tolerance} px a ring would vanish`);
  else changeRings(simple, true);
}

/** Objects no further away than it is long, to whose outlines its corners may be moved. */
function around({ id, bbox: [x0, y0, x1, y1] }: Annotation): Annotation[] {
  const reach = Math.max(x1 - x0, y1 - y0);
  const found = objectsIn([x0 - reach, y0 - reach, x1 + reach, y1 + reach]);
  return found.filter((one) => one.id !== id);
}

export function editVertices(): void {
  const { selected, objects } = state.now;
  const object = selected === null ? undefined : objects.get(selected);
  if (drawing()) toast("Finish (Enter) or cancel (Esc) the object first");
  else if (!object) toast("Select an object first");
  else if (edited !== object) {
    edited = object;
    undoable.length = redoable.length = 0;
    feature.setGeometry(shapeToMap(object.geometry));
    neighbours.clear();
    neighbours.extend(around(object).map((one) => new Feature(shapeToMap(one.geometry))));
    state.set({ tool: "vertices" });
    tell();
  }
}

export async function saveVertices(): Promise<void> {
  const geometry = feature.getGeometry();
  if (!edited || !geometry) return;
  try {
    if (undoable.length) await setGeometry(edited, shapeFromMap(geometry));
    state.set({ tool: "select" });
  } catch (error) {
    complain(error); // the edit stays open
  }
}

export const dropVertices = () => state.set({ tool: "select" });

export function watchVertices(): void {
  const modify = new Modify({
    features: new Collection([feature]),
    pixelTolerance: 9,
    style: new Style({ image: VERTEX }),
    condition: primaryAction,
    deleteCondition: (event) => altKeyOnly(event) && singleClick(event),
  });
  const snap = new Snap({ features: neighbours, pixelTolerance: 6 });
  modify.on("modifystart", remember);
  modify.on("modifyend", () => {
    if (calledOff()) move(undoable, []);
    tell();
  });
  state.on(["tool"], () => {
    const on = state.now.tool === "vertices" && edited !== null;
    if (!on) edited = null;
    vertexLayer.setVisible(on);
    for (const interaction of [modify, snap]) {
      map.removeInteraction(interaction);
      if (on) map.addInteraction(interaction);
    }
  });
}
