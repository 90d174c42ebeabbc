import { beforeEach, expect, test, vi } from "vitest";
import { annotation, project } from "./samples";

vi.mock("../src/map/view", () => ({ zoomToBox: vi.fn() }));

const { sortBy, sorted, step } = await import("../src/actions/order");
const { zoomToBox } = await import("../src/map/view");
const { state } = await import("../src/state");

const ids = () => sorted().map((one) => one.id);

beforeEach(() => {
  const objects = [
    annotation(1, { class_id: 2, area_px: 30 }),
    annotation(2, { class_id: 1, area_px: 10 }),
    annotation(3, { class_id: null, area_px: 30, bbox: [5, 5, 9, 9] }),
  ];
  state.set({
    project: project(),
    objects: new Map(objects.map((one) => [one.id, one])),
    selected: null,
  });
});

test("the newest object comes first, a second press turns the order round", () => {
  expect(ids()).toEqual([3, 2, 1]);
  sortBy("id");
  expect(ids()).toEqual([1, 2, 3]);
  sortBy("area");
  expect(ids()).toEqual([3, 1, 2]); // alike: the newest first
  sortBy("class");
  expect(ids()).toEqual([3, 2, 1]); // "", roof, tank
});

test("the least sure objects of a refined layer come first, those without a number always last", () => {
  const said = [0.9, null, 0.4].map((agreement, i) =>
    annotation(i + 1, { attributes: { agreement } }),
  );
  state.set({ objects: new Map(said.map((one) => [one.id, one])) });
  sortBy("agreement");
  expect(ids()).toEqual([3, 1, 2]);
  sortBy("agreement");
  expect(ids()).toEqual([1, 3, 2]);
  sortBy("id");
});

test("steps go round, and to the ends where nothing is selected", () => {
  step(-1);
  expect(state.now.selected).toBe(1);
  step(1);
  expect(state.now.selected).toBe(3);
  expect(zoomToBox).toHaveBeenLastCalledWith([5, 5, 9, 9]);
  step(1);
  expect(state.now.selected).toBe(2);
});
