import { expect, test, vi } from "vitest";

vi.mock("../src/actions/images", () => ({ setRecipe: vi.fn() }));
const { fillOf } = await import("../src/panels/recipe");

// What the field "No data" of the dialog "Bands and stretch" says to the server.
test("values that stand for no data, as a person types them", () => {
  expect(fillOf(" ")).toBeNull();
  expect(fillOf("none")).toEqual([]);
  expect(fillOf("-9999, 65535")).toEqual([-9999, 65535]);
  expect(fillOf("-3.4e38")).toEqual([-3.4e38]);
  expect(fillOf("0;255")).toEqual([0, 255]);
  expect(() => fillOf("1e999")).toThrow("numbers");
  expect(() => fillOf("white")).toThrow("numbers");
});
