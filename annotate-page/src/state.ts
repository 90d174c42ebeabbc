// All that the page shows, in one place; panels listen to the parts they draw.
import type { Annotation, Click, Id, Picture, PointInfo, Project, Session } from "./types";

export type Tool = "click" | "select" | "box" | "vertices";

/** A click that the server has not confirmed yet. */
export interface PendingClick extends Click {
  key: string;
}

export interface State {
  project: Project | null;
  image: Picture | null;
  objects: ReadonlyMap<Id, Annotation>;
  listing: boolean; // the objects are still on their way
  selected: Id | null;
  deleted: readonly Annotation[] | null; // the deleted objects, while they are listed
  highlighted: Annotation | null; // the one of them that is pointed at
  activeClass: Id | null;

  session: Session | null;
  unfinished: readonly Session[]; // other open sessions of this image
  pending: readonly PendingClick[];
  waiting: number; // operations that are not through, the running one included
  changing: number; // changes of finished objects that the server has not confirmed yet
  busySince: number | null; // performance.now() when the running operation began
  lastSeconds: number | null; // how long the last click took on the server

  tool: Tool;
  probability: boolean;
  outlineOnly: boolean;
  hidden: boolean;
  opacity: number;

  pointer: { x: number; y: number } | null; // pixel under the mouse or the keyboard's cursor
  pointInfo: PointInfo | null;
  resolution: number; // image pixels per screen pixel
  reachable: boolean;
  locked: string | null; // why the server wants another token
  fault: string | null; // why the project could not be opened at all
}

type Key = keyof State;

class Store {
  private value: State;
  private readonly listeners: { keys: Set<Key>; run: () => void }[] = [];
  private readonly changed = new Set<Key>();

  constructor(initial: State) {
    this.value = initial;
  }

  get now(): Readonly<State> {
    return this.value;
  }

  set(patch: Partial<State>): void {
    for (const key of Object.keys(patch) as Key[]) {
      if (patch[key] === this.value[key]) continue;
      if (this.changed.size === 0) queueMicrotask(() => this.flush());
      this.changed.add(key);
    }
    this.value = { ...this.value, ...patch };
  }

  /** Runs now and, once for all changes of a moment, whenever one of `keys` changes. */
  on(keys: Key[], run: () => void): void {
    this.listeners.push({ keys: new Set(keys), run });
    run();
  }

  private flush(): void {
    const changed = new Set(this.changed);
    this.changed.clear();
    for (const { keys, run } of this.listeners) {
      if ([...keys].some((key) => changed.has(key))) run();
    }
  }
}

export const state = new Store({
  project: null,
  image: null,
  objects: new Map(),
  listing: false,
  selected: null,
  deleted: null,
  highlighted: null,
  activeClass: null,
  session: null,
  unfinished: [],
  pending: [],
  waiting: 0,
  changing: 0,
  busySince: null,
  lastSeconds: null,
  tool: "click",
  probability: false,
  outlineOnly: false,
  hidden: false,
  opacity: 0.35,
  pointer: null,
  pointInfo: null,
  resolution: 1,
  reachable: true,
  locked: null,
  fault: null,
});

/** A name in the browser's storage that is this project's own: ids coincide between projects. */
export function ofProject(name: string): string {
  return `${name} ${state.now.project?.id ?? ""}`;
}

export function classOf(id: Id | null) {
  return state.now.project?.classes.find((one) => one.id === id) ?? null;
}
