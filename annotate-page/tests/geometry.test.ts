import { MultiPolygon, Polygon } from "ol/geom";
import { expect, test } from "vitest";
import {
  boxToExtent,
  flatten,
  shapeFromMap,
  shapeToMap,
  toMap,
  toPixel,
} from "../src/map/geometry";
import type { Shape } from "../src/types";

const square = (x: number, y: number, side: number) => [
  [x, y],
  [x + side, y],
  [x + side, y + side],
  [x, y + side],
  [x, y],
];

test("y runs down in the image and up on the map", () => {
  expect(toMap(3, 4)).toEqual([3, -4]);
  expect(toPixel([3, -4])).toEqual({ x: 3, y: 4 });
  expect(boxToExtent([1, 2, 5, 8])).toEqual([1, -8, 5, -2]);
});

test("shapes with holes and parts go to the map and back", () => {
  const one: Shape = { type: "Polygon", coordinates: [square(1, 2, 9), square(3, 4, 2)] };
  const two: Shape = {
    type: "MultiPolygon",
    coordinates: [[square(1, 2, 9), square(3, 4, 2)], [square(20, 30, 5)]],
  };
  expect(shapeToMap(one)).toBeInstanceOf(Polygon);
  expect(shapeToMap(two)).toBeInstanceOf(MultiPolygon);
  expect(shapeToMap(two).getExtent()).toEqual([1, -35, 25, -2]);
  expect(shapeToMap(two).getCoordinates()[1]).toEqual([
    square(20, 30, 5).map(([x, y]) => [x, -(y ?? 0)]),
  ]);
  for (const shape of [one, two]) expect(shapeFromMap(shapeToMap(shape))).toEqual(shape);
});

test("outlines with one list of numbers are the same outlines", () => {
  const shape: Shape = {
    type: "MultiPolygon",
    coordinates: [[square(1, 2, 9), square(3, 4, 2)], [square(20, 30, 5)]],
  };
  const flat = flatten(shape);
  expect(flat.ends).toEqual([[10, 20], [30]]);
  expect(flat.flat.slice(20, 24)).toEqual([20, 30, 25, 30]);
  expect(shapeFromMap(shapeToMap(flat))).toEqual(shape);
  expect(flat.flat[21]).toBe(30); // the map has its own
});
