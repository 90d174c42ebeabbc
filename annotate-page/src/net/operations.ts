// What the user did to the object being drawn, in order, one at a time. The list is kept in the
// tab's storage until the server has confirmed it: a reload or a lost server loses no click.
import { state, type PendingClick } from "../state";
import { complain, toast } from "../ui/toast";
import { count } from "../ui/format";
import type { Annotation, Box, Id, Session } from "../types";
import { api } from "./api";
import { untilReachable } from "./connection";
import { keepSessionOfThisTab, rememberBegun } from "./own";
import { Refused } from "./request";

type Step =
  | { kind: "start"; image: Id; object?: Id; box?: Box; key: string }
  | ({ kind: "click" } & PendingClick)
  | { kind: "undo" | "redo"; key: string }
  | { kind: "finish"; classId: Id | null; overwrite?: boolean }
  | { kind: "cancel" };

/** `session`: the one it was made for; null: the one that the start before it makes. */
type Operation = Step & { project: { id: string; name: string }; session: Id | null };

const LIST = "operations";

const queue: Operation[] = [];
let aside: Operation[] | null = null; // of other projects served here before; null: not looked yet
let running = false;
let idle: Promise<void> = Promise.resolve();

interface Endings {
  finished: (object: Annotation) => void;
  /** `edit` is what undo needs; null when nothing was drawn. */
  discarded: (session: Session, edit: number | null) => void;
}
let endings: Endings;

export function onEnd(whatToDo: Endings): void {
  endings = whatToDo;
}

let refused: () => void;

/** `whenRefused` is called after the user was told that a step was not taken. */
export function onRefused(whenRefused: typeof refused): void {
  refused = whenRefused;
}

/** Looks once for what an earlier load of this page left, of this project and of others. */
function takeOver(): void {
  const { project } = state.now;
  if (aside || !project) return;
  const left = JSON.parse(sessionStorage.getItem(LIST) ?? "[]") as Operation[];
  queue.push(...left.filter((one) => one.project?.id === project.id));
  aside = left.filter((one) => one.project?.id !== project.id);
  const clicks = aside.filter((one) => one.kind === "click");
  if (!clicks.length) return;
  const names = [...new Set(clicks.map((one) => one.project?.name ?? "another"))].join(", ");
  toast(
    `${count(clicks.length, "click")} wait${clicks.length > 1 ? "" : "s"} for project ${names}`,
    {
      action: { label: "Forget them", run: forgetAside },
    },
  );
}

function forgetAside(): void {
  aside = [];
  publish();
}

export function enqueue(...steps: Step[]): void {
  takeOver();
  const { project } = state.now;
  if (!project) return;
  for (const step of steps) {
    const { id, name } = project;
    queue.push({ ...step, project: { id, name }, session: addressee() });
  }
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
  takeOver();
  publish();
  if (queue.length && !running) idle = drain();
}

export function setSession(session: Session | null): void {
  keepSessionOfThisTab(session?.id ?? null);
  state.set({ session });
}

const beginsOrEnds = ({ kind }: Step) => kind === "start" || kind === "finish" || kind === "cancel";

/** Whether an object is being drawn once everything queued is through. */
export function drawing(): boolean {
  const last = queue.findLast(beginsOrEnds);
  return last ? last.kind === "start" : state.now.session !== null;
}

/** The session that is drawn once everything queued is through; null while it has no number. */
function addressee(): Id | null {
  return queue.some(beginsOrEnds) ? null : (state.now.session?.id ?? null);
}

function publish(): void {
  sessionStorage.setItem(LIST, JSON.stringify([...(aside ?? []), ...queue]));
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
      // The list stays as it is: the page loads anew, and it waits for its own project.
      if (await meantForAnother(error)) return location.reload();
      if (!(await offered(operation, error))) complain(error);
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

const conflict = (error: unknown) => error instanceof Refused && error.status === 409;

/** Whether it was refused because another project is served here by now. */
async function meantForAnother(error: unknown): Promise<boolean> {
  if (!conflict(error)) return false;
  const { id } = await untilReachable(() => api.project());
  return id !== state.now.project?.id;
}

/** Somebody else has changed the object that was refined: whose pixels are to stay? */
async function offered(operation: Operation, error: unknown): Promise<boolean> {
  const { session } = state.now;
  if (!conflict(error) || operation.kind !== "finish" || !session) return false;
  const now = await untilReachable(() => api.session(session.id)).catch(() => session);
  if (!now.outdated) return false;
  setSession(now);
  const run = () => {
    if (drawing() && state.now.session?.id === now.id) enqueue({ ...operation, overwrite: true });
  };
  toast((error as Refused).message, { bad: true, action: { label: "Overwrite", run } });
  return true;
}

/** The session is gone: what was meant for it has no addressee. */
function abandon(): void {
  const next = queue.findIndex((one, i) => i > 0 && one.kind === "start");
  queue.splice(1, (next < 0 ? queue.length : next) - 1);
  setSession(null);
}

async function perform(operation: Operation): Promise<void> {
  if (operation.kind === "start") return start(operation);
  const { session } = operation;
  if (session === null) return;
  if (operation.kind === "finish" || operation.kind === "cancel") return end(operation, session);
  let after: Session;
  if (operation.kind === "click") {
    const { x, y, positive, key } = operation;
    after = await api.click(session, { x, y, positive, key });
  } else after = await api[operation.kind](session, operation.key);
  show(after);
}

function show(session: Session): void {
  setSession(session);
  if (session.seconds !== null) state.set({ lastSeconds: session.seconds });
}

async function start(operation: Operation & { kind: "start" }): Promise<void> {
  const { image, object, box, key } = operation;
  const session = await api.startSession({
    image_id: image,
    ...(object === undefined ? {} : { object_id: object }),
    ...(box ? { box } : {}),
    key,
  });
  rememberBegun(session.id);
  for (const one of queue.slice(1)) {
    if (one.kind === "start") break;
    one.session ??= session.id;
  }
  const { session: left, unfinished } = state.now; // left: could not be finished
  if (left && left.id !== session.id) state.set({ unfinished: [...unfinished, left] });
  show(session);
  if (session.also_refining.length) {
    toast(`Object ${object} is being refined elsewhere, too: who finishes last is asked`);
  }
}

async function end(operation: Operation & { kind: "finish" | "cancel" }, id: Id): Promise<void> {
  const { session } = state.now;
  const done = () => {
    if (state.now.session?.id === id) setSession(null);
  };
  if (operation.kind === "cancel") {
    const { edit } = await api.cancel(id);
    done();
    if (session) endings.discarded(session, edit);
  } else {
    const { classId, overwrite = false } = operation;
    const kind = classId === null ? {} : { class_id: classId };
    const object = await api.finish(id, { ...kind, overwrite });
    done();
    endings.finished(object);
  }
}
