// Between the server's pixels (y down) and the map's plane (y up).
import { MultiPolygon, Polygon } from "ol/geom";
import type { Coordinate } from "ol/coordinate";
import type { Extent } from "ol/extent";
import type { Box, FlatShape, Shape } from "../types";

export const toMap = (x: number, y: number): Coordinate => [x, -y];
export const toPixel = ([x = 0, y = 0]: Coordinate) => ({ x, y: -y });
export const boxToExtent = ([x0, y0, x1, y1]: Box): Extent => [x0, -y1, x1, -y0];

const flip = (rings: number[][][]) => rings.map((ring) => ring.map(([x = 0, y = 0]) => [x, -y]));

/** An outline with one list of numbers, as it comes for many objects. */
export function flatten(shape: Shape): FlatShape {
  const parts = shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates;
  let end = 0;
  const ends = parts.map((rings) => rings.map((ring) => (end += 2 * ring.length)));
  return { flat: parts.flat(3), ends };
}

/** The same in the map's plane. */
export function flatOnMap(shape: Shape | FlatShape): FlatShape {
  const { flat, ends } = "flat" in shape ? shape : flatten(shape);
  return { flat: flat.map((value, at) => (at % 2 ? -value : value)), ends };
}

export function shapeToMap(shape: Shape | FlatShape): Polygon | MultiPolygon {
  const { flat, ends } = flatOnMap(shape);
  const [only = [], ...more] = ends;
  return more.length ? new MultiPolygon(flat, "XY", ends) : new Polygon(flat, "XY", only);
}

export function shapeFromMap(geometry: Polygon | MultiPolygon): Shape {
  return geometry instanceof Polygon
    ? { type: "Polygon", coordinates: flip(geometry.getCoordinates()) }
    : { type: "MultiPolygon", coordinates: geometry.getCoordinates().map(flip) };
}
