// Whether the server is there. Work waits for it instead of failing.
import { state } from "../state";
import type { Project } from "../types";
import { api } from "./api";
import { Unreachable } from "./request";

const FIRST_PAUSE = 500; // ms, doubled each time
const LONGEST_PAUSE = 5000;
const HEARTBEAT = 5000;
const LOADING = 1000; // while the model is being loaded

const wakers = new Set<() => void>();

/** Ends all pauses: the next attempt comes at once. */
export function retryNow(): void {
  for (const wake of [...wakers]) wake();
}

function pause(duration: number): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      wakers.delete(wake);
      resolve();
    };
    const timer = setTimeout(wake, duration);
    wakers.add(wake);
  });
}

/**
 * Runs `task` until it got an answer; a refusal is an answer and is thrown.
 * `again` is true when an earlier attempt may have reached the server.
 */
export async function untilReachable<T>(task: (again: boolean) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await task(attempt > 0);
      state.set({ reachable: true });
      return result;
    } catch (error) {
      if (!(error instanceof Unreachable)) {
        state.set({ reachable: true });
        throw error;
      }
      state.set({ reachable: false });
      await pause(Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE));
    }
  }
}

/** Notices a lost server even while nothing is asked of it; hands on what it says of itself. */
export function watchConnection(hear: (project: Project) => Promise<void>): void {
  let asking = false;
  const beat = async () => {
    if (asking || document.hidden) return;
    asking = true;
    await untilReachable(() => api.project())
      .then(hear)
      .catch(() => undefined);
    asking = false;
  };
  const next = () => {
    const loading = state.now.project?.model.ready === false;
    setTimeout(() => void beat().then(next), loading ? LOADING : HEARTBEAT);
  };
  next();
  addEventListener("online", retryNow);
}
