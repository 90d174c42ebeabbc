// One HTTP request. Two things can go wrong: the server refuses, or it cannot be reached.
import { state } from "../state";

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

/** Non-loopback servers want the token that the page was opened with. */
const token = new URLSearchParams(location.search).get("token");

/** A URL for what the browser fetches by itself (images), where no header can be set. */
export function url(path: string, query: Record<string, string> = {}): string {
  const parameters = new URLSearchParams(query);
  if (token) parameters.set("token", token);
  const tail = parameters.toString();
  return `api/${path}${tail ? `?${tail}` : ""}`;
}

export async function send(method: string, address: string, body?: unknown): Promise<Response> {
  const headers = new Headers();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  // Ids coincide between projects, and after a restart another one may be served here.
  const { project } = state.now;
  if (project && method !== "GET") headers.set("X-Project", project.id);
  let payload: BodyInit | null = null;
  if (body instanceof FormData) payload = body;
  else if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    payload = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(address, { method, headers, body: payload });
  } catch {
    throw new Unreachable("the server cannot be reached");
  }
  if (response.ok) return response;
  const spoken = await sentence(response);
  // A proxy's words for a server that is away; the server itself gives a sentence with its 503.
  const away = [502, 504].includes(response.status) || (response.status === 503 && !spoken);
  if (away) throw new Unreachable(response.statusText);
  throw new Refused(
    spoken ?? `the server answered ${response.status} ${response.statusText}`,
    response.status,
  );
}

export async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, url(path), body);
  try {
    return (await response.json()) as T;
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
