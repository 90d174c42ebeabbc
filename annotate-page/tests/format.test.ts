import { expect, test } from "vitest";
import { area, count, lonlat, timeLeft, value, zoom } from "../src/ui/format";
import { progressText } from "../src/ui/progress";

test("areas in pixels, square metres and square kilometres", () => {
  expect(area({ area_px: 12345, area_m2: null })).toBe("12,345 px");
  expect(area({ area_px: 1, area_m2: 12.345 })).toBe("12.3 m²");
  expect(area({ area_px: 1, area_m2: 12345.6 })).toBe("12,346 m²");
  expect(area({ area_px: 1, area_m2: 2.5e6 })).toBe("2.5 km²");
});

test("numbers for people", () => {
  expect([count(1, "object"), count(60000, "object")]).toEqual(["1 object", "60,000 objects"]);
  expect([timeLeft(0.2), timeLeft(150)]).toEqual(["about 1 s left", "about 3 min left"]);
  expect([zoom(16), zoom(0.25)]).toEqual(["1:16", "4:1"]);
  expect([value(null), value(7), value(0.123456789)]).toEqual(["–", "7", "0.12346"]);
  expect(lonlat([-0.5, 51.25])).toBe("51.250000° N 0.500000° W");
});

test("progress is said once it is known", () => {
  expect(progressText({ done: 0, total: 0, seconds_left: null })).toBe("");
  expect(progressText({ done: 1, total: 3, seconds_left: null })).toBe("33 %");
  expect(progressText({ done: 1, total: 2, seconds_left: 12.4 })).toBe("50 %, about 12 s left");
});
