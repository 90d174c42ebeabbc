// Which sessions are this tab's, or at least this browser's: others are not taken over by a reload.
import { ofProject } from "../state";
import type { Id } from "../types";

const TAB = "session";
const BROWSER = "begun";
const MOST = 500; // that are remembered

const begun = () => JSON.parse(localStorage.getItem(ofProject(BROWSER)) ?? "[]") as string[];

/** The session that this tab was drawing when it was last loaded. */
export function sessionOfThisTab(): string | null {
  return sessionStorage.getItem(ofProject(TAB));
}

export function keepSessionOfThisTab(id: Id | null): void {
  if (id === null) sessionStorage.removeItem(ofProject(TAB));
  else sessionStorage.setItem(ofProject(TAB), String(id));
}

export function rememberBegun(id: Id): void {
  const ids = begun().filter((one) => one !== String(id));
  localStorage.setItem(ofProject(BROWSER), JSON.stringify([...ids, String(id)].slice(-MOST)));
}

/** Tells of sessions whether this browser began them. */
export function begunHere(): (id: Id) => boolean {
  const ids = new Set(begun());
  return (id) => ids.has(String(id));
}
