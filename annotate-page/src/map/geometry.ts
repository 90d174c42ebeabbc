// Between the server's pixels (y down) and the map's plane (y up).
import { MultiPolygon, Polygon } from "ol/geom";
import type { Coordinate } from "ol/coordinate";
import type { Extent } from "ol/extent";
import type { Box, Shape } from "../types";

export const toMap = (x: number, y: number): Coordinate => [x, -y];
export const toPixel = ([x = 0, y = 0]: Coordinate) => ({ x, y: -y });
export const boxToExtent = ([x0, y0, x1, y1]: Box): Extent => [x0, -y1, x1, -y0];

const flip = (rings: number[][][]) => rings.map((ring) => ring.map(([x = 0, y = 0]) => [x, -y]));

export function shapeToMap(shape: Shape): Polygon | MultiPolygon {
  return shape.type === "Polygon"
    ? new Polygon(flip(shape.coordinates))
    : new MultiPolygon(shape.coordinates.map(flip));
}

export function shapeFromMap(geometry: Polygon | MultiPolygon): Shape {
  return geometry instanceof Polygon
    ? { type: "Polygon", coordinates: flip(geometry.getCoordinates()) }
    : { type: "MultiPolygon", coordinates: geometry.getCoordinates().map(flip) };
}
