// The queue of what a person did to the object being drawn.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stubBrowser } from "./browser";
import { annotation, project, session } from "./samples";

const api = {
  project: vi.fn(),
  session: vi.fn(),
  startSession: vi.fn(),
  click: vi.fn(),
  undo: vi.fn(),
  redo: vi.fn(),
  finish: vi.fn(),
  cancel: vi.fn(),
};
vi.mock("../src/net/api", () => ({ api }));
vi.mock("../src/net/token", () => ({ token: () => null, otherToken: vi.fn() }));
const toast = vi.fn();
const complain = vi.fn();
vi.mock("../src/ui/toast", () => ({ toast, complain }));

type Operations = typeof import("../src/net/operations");
let operations: Operations;
let state: (typeof import("../src/state"))["state"];
let requests: typeof import("../src/net/request");
const finished = vi.fn();
const discarded = vi.fn();
const refused = vi.fn();

/** As after a load of the page; the tab's storage stays. */
async function load(): Promise<void> {
  vi.resetModules();
  operations = await import("../src/net/operations");
  ({ state } = await import("../src/state"));
  requests = await import("../src/net/request");
  operations.onEnd({ finished, discarded });
  operations.onRefused(refused);
  state.set({ project: project() });
}

const click = (key: string) => ({ kind: "click", x: 1, y: 2, positive: true, key }) as const;
const start = (key: string) => ({ kind: "start", image: 1, key }) as const;

beforeEach(async () => {
  vi.clearAllMocks();
  vi.useFakeTimers(); // so that what waits for the server waits for the whole test
  stubBrowser();
  api.project.mockResolvedValue(project());
  api.startSession.mockResolvedValue(session(7));
  api.click.mockImplementation(async () => session(7, 1));
  api.finish.mockResolvedValue(annotation(3));
  await load();
});

afterEach(() => {
  vi.useRealTimers();
});

const serverIsMissed = () => vi.waitFor(() => expect(state.now.reachable).toBe(false));

test("an object is started, clicked and finished in order, one request at a time", async () => {
  operations.enqueue(start("a"), click("b"), click("c"));
  operations.enqueue({ kind: "finish", classId: 2 });
  expect(state.now.pending.map((one) => one.key)).toEqual(["b", "c"]);
  expect(operations.drawing()).toBe(false); // once all is through
  await operations.allDone();
  expect(api.startSession).toHaveBeenCalledWith({ image_id: 1, key: "a" });
  expect(api.click.mock.calls.map(([id, { key }]) => [id, key])).toEqual([
    [7, "b"],
    [7, "c"],
  ]);
  expect(api.finish).toHaveBeenCalledWith(7, { class_id: 2, overwrite: false });
  expect(finished).toHaveBeenCalledWith(annotation(3));
  expect([state.now.session, state.now.waiting]).toEqual([null, 0]);
});

test("while the server is away nothing is lost, and a reload of the page goes on", async () => {
  api.click.mockRejectedValue(new requests.Unreachable("gone"));
  operations.enqueue(start("a"), click("b"));
  await serverIsMissed();
  expect(state.now.waiting).toBe(1);
  api.click.mockReset().mockResolvedValue(session(7, 1));
  await load();
  operations.resumeQueue();
  await operations.allDone();
  expect(api.click).toHaveBeenCalledWith(7, { x: 1, y: 2, positive: true, key: "b" });
  expect(state.now.session?.clicks).toHaveLength(1);
});

test("a refused click is told, and those after it are still sent", async () => {
  api.click.mockRejectedValueOnce(new requests.Refused("outside the image", 422));
  operations.enqueue(start("a"), click("b"), click("c"));
  await operations.allDone();
  expect(complain).toHaveBeenCalledOnce();
  expect(refused).toHaveBeenCalledOnce();
  expect(api.click).toHaveBeenCalledTimes(2);
});

test("a session that is gone takes its steps with it, but not the next object", async () => {
  api.click.mockRejectedValueOnce(new requests.Refused("no such session", 404));
  operations.enqueue(start("a"), click("b"), click("c"), { kind: "cancel" });
  operations.enqueue(start("d"), click("e"));
  await operations.allDone();
  expect(api.startSession).toHaveBeenCalledTimes(2);
  expect(api.click.mock.calls.map(([, { key }]) => key)).toEqual(["b", "e"]);
  expect(api.cancel).not.toHaveBeenCalled();
});

test("what was meant for another project waits for it", async () => {
  api.click.mockRejectedValue(new requests.Unreachable("gone"));
  operations.enqueue(start("a"), click("b"));
  await serverIsMissed();
  api.click.mockReset();
  await load();
  state.set({ project: project("p2") });
  operations.resumeQueue();
  await operations.allDone();
  expect(api.click).not.toHaveBeenCalled();
  expect(state.now.waiting).toBe(0);
  expect(toast.mock.calls[0]?.[0]).toBe("1 click waits for project scene");
  await load();
  api.click.mockResolvedValue(session(7, 1));
  operations.resumeQueue();
  await operations.allDone();
  expect(api.click).toHaveBeenCalledOnce();
});

test("who changed an object meanwhile is not overwritten without a word", async () => {
  operations.enqueue(start("a"), click("b"));
  await operations.allDone();
  api.finish.mockRejectedValueOnce(new requests.Refused("object 3 was changed", 409));
  api.session.mockResolvedValue({ ...session(7, 1), outdated: true });
  operations.enqueue({ kind: "finish", classId: null });
  await operations.allDone();
  const [message, { action }] = toast.mock.lastCall ?? [];
  expect([message, action.label]).toEqual(["object 3 was changed", "Overwrite"]);
  action.run();
  await operations.allDone();
  expect(api.finish).toHaveBeenLastCalledWith(7, { overwrite: true });
  expect(finished).toHaveBeenCalledOnce();
});
