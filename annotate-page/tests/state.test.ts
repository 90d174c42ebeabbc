import { expect, test, vi } from "vitest";
import { classOf, ofProject, state } from "../src/state";
import { project } from "./samples";

const settled = () => new Promise((done) => setTimeout(done));

test("listeners run once for all changes of a moment, and only for their own keys", async () => {
  const tool = vi.fn();
  const both = vi.fn();
  state.on(["tool"], tool);
  state.on(["tool", "opacity"], both);
  expect([tool.mock.calls.length, both.mock.calls.length]).toEqual([1, 1]); // at once
  state.set({ tool: "box" });
  state.set({ opacity: 0.5 });
  state.set({ tool: "select", hidden: false });
  expect(tool).toHaveBeenCalledTimes(1);
  await settled();
  expect([tool.mock.calls.length, both.mock.calls.length]).toEqual([2, 2]);
  state.set({ tool: "select" }); // as it was
  await settled();
  expect(tool).toHaveBeenCalledTimes(2);
});

test("names in the browser's storage belong to a project", () => {
  state.set({ project: project("p7") });
  expect(ofProject("session")).toBe("session p7");
  expect(classOf(2)?.name).toBe("tank");
  expect(classOf(null)).toBeNull();
});
