// One HTTP request. Two things can go wrong: the server refuses, or it cannot be reached. A request
// without the right token is neither: it waits for it.
import { state } from "../state";
import { otherToken, token } from "./token";

/** The server understood and said no; the message is its sentence. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** No answer: the server is gone, restarting, or the line is down. Worth trying again. */
export class Unreachable extends Error {}

/** A URL relative to the page: a proxy may show it under any path. */
export function url(path: string, query: Record<string, string> = {}): string {
  const tail = new URLSearchParams(query).toString();
  return `api/${path}${tail ? `?${tail}` : ""}`;
}

export async function send(method: string, address: string, body?: unknown): Promise<Response> {
  const headers = new Headers();
  // Ids coincide between projects, and after a restart another one may be served here.
  const { project } = state.now;
  if (project && method !== "GET") headers.set("X-Project", project.id);
  let payload: BodyInit | null = null;
  if (body instanceof FormData) payload = body;
  else if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    payload = JSON.stringify(body);
  }
  for (;;) {
    const used = token();
    // Not "Authorization": proxies use that one themselves.
    if (used) headers.set("X-Annotator-Token", used);
    const response = await attempt(address, { method, headers, body: payload });
    const spoken = response.ok ? null : await sentence(response);
    // The server itself always gives a sentence. Any other words are a proxy's: the server is away,
    // or the proxy wants a login.
    if (!response.ok && !spoken) {
      throw new Unreachable(`the answer was ${response.status} ${response.statusText}`);
    }
    if (response.status === 401) await otherToken(used);
    else {
      state.set({ locked: null });
      if (response.ok) return response;
      throw new Refused(spoken ?? "", response.status);
    }
  }
}

async function attempt(address: string, request: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, request);
  } catch {
    throw new Unreachable("the server cannot be reached");
  }
  // The server sends nobody elsewhere; a proxy does, to where one logs in.
  if (response.redirected) throw new Unreachable("something in between wants a login");
  return response;
}

export async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, url(path), body);
  return whole(response.json() as Promise<T>);
}

export async function blob(address: string): Promise<Blob> {
  return whole((await send("GET", address)).blob());
}

async function whole<T>(content: Promise<T>): Promise<T> {
  try {
    return await content;
  } catch {
    throw new Unreachable("the answer broke off");
  }
}

async function sentence(response: Response): Promise<string | null> {
  try {
    const { detail } = (await response.json()) as { detail?: unknown };
    if (typeof detail === "string") return detail;
    const first = Array.isArray(detail) ? (detail[0] as { loc?: string[]; msg?: string }) : null;
    if (first?.msg) return `${first.loc?.at(-1) ?? "request"}: ${first.msg}`;
  } catch {
    // Not JSON: the status has to do.
  }
  return null;
}

/**
 * A key by which the server knows a request that it gets a second time: random bytes as hex.
 * `crypto.randomUUID` is missing on plain-http pages of other hosts.
 */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
