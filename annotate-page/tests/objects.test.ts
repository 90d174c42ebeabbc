import { beforeEach, expect, test, vi } from "vitest";
import { annotation, picture } from "./samples";

vi.mock("../src/net/api", () => ({ api: { objects: vi.fn() } }));
vi.mock("../src/net/operations", () => ({ drawing: () => false }));
vi.mock("../src/net/connection", () => ({ untilReachable: (task: () => unknown) => task() }));
vi.mock("../src/ui/toast", () => ({ toast: vi.fn(), complain: vi.fn() }));

const { apply, inOrder, reload } = await import("../src/actions/objects");
const { api } = await import("../src/net/api");
const { state } = await import("../src/state");

beforeEach(() => {
  const objects = new Map([1, 2].map((id) => [id, annotation(id)]));
  state.set({ image: picture, objects, selected: 2, deleted: null });
});

test("what was changed and removed takes effect, also on what is selected", () => {
  const changed = annotation(1, { area_px: 7 });
  apply([changed, annotation(3)], [2]);
  expect([...state.now.objects.keys()]).toEqual([1, 3]);
  expect(state.now.objects.get(1)).toBe(changed);
  expect(state.now.selected).toBeNull();
});

test("the list of deleted objects follows: the last one first, those that are back leave it", () => {
  state.set({ deleted: [annotation(9), annotation(8)] });
  apply([annotation(9)], [2]);
  expect(state.now.deleted?.map((one) => one.id)).toEqual([2, 8]);
});

test("what did not change stays the same thing, for the map to draw only what did", async () => {
  const before = state.now.objects.get(1);
  vi.mocked(api.objects).mockResolvedValue([annotation(1), annotation(2, { clicks: 4 })]);
  await reload();
  expect(state.now.objects.get(1)).toBe(before);
  expect(state.now.objects.get(2)?.clicks).toBe(4);
  expect([state.now.listing, state.now.selected]).toEqual([false, 2]);
});

test("a list that comes after another image was opened is not taken", async () => {
  vi.mocked(api.objects).mockImplementation(async () => {
    state.set({ image: { ...picture, id: 5 } });
    return [];
  });
  await reload();
  expect(state.now.objects.size).toBe(2);
});

test("requests go out one after the other, also after one that failed", async () => {
  const done: string[] = [];
  const slow = inOrder(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    done.push("slow");
    throw new Error("refused");
  });
  const quick = inOrder(async () => done.push("quick"));
  expect(state.now.changing).toBe(2);
  await expect(slow).rejects.toThrow("refused");
  await quick;
  expect(state.now.changing).toBe(0);
  expect(done).toEqual(["slow", "quick"]);
});
