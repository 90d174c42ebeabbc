import { expect, test } from "vitest";
import { ObjectFeature } from "../src/map/objectFeature";
import type { Shape } from "../src/types";
import { annotation } from "./samples";

const square = (x: number, y: number, side: number): [number, number][] => [
  [x, y],
  [x + side, y],
  [x + side, y + side],
  [x, y + side],
  [x, y],
];

/** Twice the areas of rings, with the sign of the way round. */
function turns(flat: number[], ends: number[]): number[] {
  return ends.map((end, ring) => {
    let sum = 0;
    for (let at = ring ? (ends[ring - 1] ?? 0) : 0; at < end - 2; at += 2) {
      const [x = 0, y = 0, nextX = 0, nextY = 0] = flat.slice(at, at + 4);
      sum += x * nextY - nextX * y;
    }
    return sum;
  });
}

const hole = square(23, 33, 2);
const shape: Shape = {
  type: "MultiPolygon",
  coordinates: [[square(1, 2, 9)], [square(20, 30, 9), hole]],
};

test("borders and holes go round opposite ways, however they came", () => {
  for (const way of [hole, [...hole].reverse()]) {
    const coordinates = [[square(1, 2, 9)], [square(20, 30, 9), way]];
    const feature = new ObjectFeature(annotation(1, { geometry: { ...shape, coordinates } }));
    expect(feature.getExtent()).toEqual([1, -39, 29, -2]);
    const areas = turns(feature.getFlatCoordinates(), feature.getEnds() ?? []);
    expect(areas).toEqual([-162, -162, 8]);
  }
});

test("it is painted with no more corners than can be seen", () => {
  const flat = Array.from({ length: 101 }, (_, i) => [Math.min(i, 100), i % 2 ? 0.1 : 0]).flat();
  flat.push(100, 100, 0, 100, 0, 0);
  const feature = new ObjectFeature(annotation(1, { geometry: { flat, ends: [[flat.length]] } }));
  const coarse = feature.simplifyTransformed(4);
  expect(coarse.getEnds()).toEqual([coarse.getFlatCoordinates().length]);
  expect(coarse.getFlatCoordinates().length).toBeLessThan(14);
  expect(coarse.getExtent()).toEqual(feature.getExtent().map(Math.round));
  expect(feature.simplifyTransformed(4)).toBe(coarse);
  const fine = feature.simplifyTransformed(0.0001);
  expect(fine.getFlatCoordinates().length).toBeGreaterThan(100);
  expect(flat[3]).toBe(0.1); // the object's own
});
