// What the user did to the object being drawn, in order, one at a time. The list is kept in the
// tab's storage until the server has confirmed it: a reload or a lost server loses no click.
import { state, type PendingClick } from "../state";
import { complain } from "../ui/toast";
import type { Box, Id, Session } from "../types";
import { api } from "./api";
import { untilReachable } from "./connection";
import { Refused } from "./request";

type Step =
  | { kind: "start"; image: Id; object?: Id; box?: Box }
  | ({ kind: "click" } & PendingClick)
  | { kind: "undo" | "redo"; key: string }
  | { kind: "finish"; classId: Id | null }
  | { kind: "cancel" };

/** `sent`: an attempt may have reached the server. Keys let it know a repetition. */
export type Operation = Step & { sent?: boolean };

const LIST = "operations";
const SESSION = "session";

const queue: Operation[] = JSON.parse(sessionStorage.getItem(LIST) ?? "[]") as Operation[];
let running = false;
let idle: Promise<void> = Promise.resolve();
let finished: (session: Session, object: Awaited<ReturnType<typeof api.finish>> | null) => void;

/** `whenFinished` gets every finished object; null when its reply was lost: look it up. */
export function onFinished(whenFinished: typeof finished): void {
  finished = whenFinished;
}

let refused: () => void;

/** `whenRefused` is called after the user was told that a step was not taken. */
export function onRefused(whenRefused: typeof refused): void {
  refused = whenRefused;
}

export function enqueue(...operations: Operation[]): void {
  queue.push(...operations);
  publish();
  if (!running) idle = drain();
}

/** Resolves when nothing waits any more. */
export function allDone(): Promise<void> {
  return idle;
}

/** Closing the tab would lose what a lost server could not take. */
addEventListener("beforeunload", (event) => {
  if (queue.length && !state.now.reachable) event.preventDefault();
});

/** Goes on with what an earlier load of this page left behind. */
export function resumeQueue(): void {
  publish();
  if (queue.length && !running) idle = drain();
}

export function sessionOfThisTab(): string | null {
  return sessionStorage.getItem(SESSION);
}

export function setSession(session: Session | null): void {
  if (session) sessionStorage.setItem(SESSION, String(session.id));
  else sessionStorage.removeItem(SESSION);
  state.set({ session });
}

/** Whether an object is being drawn once everything queued is through. */
export function drawing(): boolean {
  for (const { kind } of queue.toReversed()) {
    if (kind === "start") return true;
    if (kind === "finish" || kind === "cancel") return false;
  }
  return state.now.session !== null;
}

function publish(): void {
  sessionStorage.setItem(LIST, JSON.stringify(queue));
  const pending = queue.filter((one) => one.kind === "click");
  state.set({ pending, waiting: queue.length });
}

async function drain(): Promise<void> {
  running = true;
  for (let head = queue[0]; head; head = queue[0]) {
    const operation = head;
    state.set({ busySince: performance.now() });
    try {
      await untilReachable(() => perform(operation));
    } catch (error) {
      complain(error);
      refused();
      if (operation.kind === "start" || (error instanceof Refused && error.status === 404)) {
        abandon();
      }
    }
    if (queue[0] === operation) queue.shift();
    publish();
  }
  state.set({ busySince: null });
  running = false;
}

/** The session is gone: what was meant for it has no addressee. */
function abandon(): void {
  const next = queue.findIndex((one, i) => i > 0 && one.kind === "start");
  queue.splice(1, (next < 0 ? queue.length : next) - 1);
  setSession(null);
}

async function perform(operation: Operation): Promise<void> {
  const again = operation.sent ?? false;
  if (!again) {
    operation.sent = true;
    publish();
  }
  if (operation.kind === "start") return start(operation, again);
  const { session } = state.now;
  if (!session) return;
  if (operation.kind === "finish" || operation.kind === "cancel") {
    return end(operation, session, again);
  }
  let after: Session;
  if (operation.kind === "click") {
    const { x, y, positive, key } = operation;
    after = await api.click(session.id, { x, y, positive, key });
  } else after = await api[operation.kind](session.id, operation.key);
  setSession(after);
  if (after.seconds !== null) state.set({ lastSeconds: after.seconds });
}

async function start(operation: Operation & { kind: "start" }, again: boolean): Promise<void> {
  const { image, object, box } = operation;
  const open = again ? await api.sessions(image) : [];
  const others = new Set(state.now.unfinished.map((one) => one.id));
  const lost = open.find(
    (one) =>
      !others.has(one.id) &&
      one.object_id === (object ?? null) &&
      one.clicks.length === (box ? 1 : 0),
  );
  const session =
    lost ??
    (await api.startSession({
      image_id: image,
      ...(object === undefined ? {} : { object_id: object }),
      ...(box ? { box } : {}),
    }));
  setSession(session);
  if (session.seconds !== null) state.set({ lastSeconds: session.seconds });
}

async function end(
  operation: Operation & { kind: "finish" | "cancel" },
  session: Session,
  again: boolean,
): Promise<void> {
  let object = null;
  try {
    if (operation.kind === "cancel") await api.cancel(session.id);
    else {
      const { classId } = operation;
      object = await api.finish(session.id, classId === null ? {} : { class_id: classId });
    }
  } catch (error) {
    // A lost reply: the first attempt ended it.
    if (!(again && error instanceof Refused && error.status === 404)) throw error;
  }
  setSession(null);
  if (operation.kind === "finish") finished(session, object);
}
