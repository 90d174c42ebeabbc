// Between the server's pixels (y down) and the map's plane (y up).
import { MultiPolygon, Polygon } from "ol/geom";
import type { Coordinate } from "ol/coordinate";
import type { Extent } from "ol/extent";
import type { Box, Shape } from "../types";

export const toMap = (x: number, y: number): Coordinate => [x, -y];
export const toPixel = ([x = 0, y = 0]: Coordinate) => ({ x, y: -y });
export const boxToExtent = ([x0, y0, x1, y1]: Box): Extent => [x0, -y1, x1, -y0];

const flip = (rings: number[][][]) => rings.map((ring) => ring.map(([x = 0, y = 0]) => [x, -y]));

/** Appends the corners of rings to `flat` as the map has them; where each ring ends there. */
function append(rings: number[][][], flat: number[]): number[] {
  return rings.map((ring) => {
    for (const [x = 0, y = 0] of ring) flat.push(x, -y);
    return flat.length;
  });
}

/** From one long list of numbers, which for thousands of shapes is much quicker than from rings. */
export function shapeToMap(shape: Shape): Polygon | MultiPolygon {
  const flat: number[] = [];
  if (shape.type === "Polygon") return new Polygon(flat, "XY", append(shape.coordinates, flat));
  const ends = shape.coordinates.map((part) => append(part, flat));
  return new MultiPolygon(flat, "XY", ends);
}

export function shapeFromMap(geometry: Polygon | MultiPolygon): Shape {
  return geometry instanceof Polygon
    ? { type: "Polygon", coordinates: flip(geometry.getCoordinates()) }
    : { type: "MultiPolygon", coordinates: geometry.getCoordinates().map(flip) };
}
