// The token that the server wants. The page gets it once, in its address, and keeps it for this
// place: ports and paths of one host belong to different servers.
import { state } from "../state";

const KEY = `token ${location.pathname}`;
const PAUSE = 5000; // ms until a refused request is tried again by itself
const NEEDED = "This page needs the token of its server.";
const WRONG = "The server does not know this page's token.";

const waiting = new Set<() => void>();

export function token(): string | null {
  return localStorage.getItem(KEY);
}

/** Takes a token, or an address with one in it, and goes on with what waits for it. */
export function giveToken(text: string): void {
  const given = tokenIn(text) ?? text.trim();
  if (/^[!-~]+$/.test(given)) localStorage.setItem(KEY, given);
  goOn();
}

/** After the server refused a token: resolves when there may be a better one. */
export async function otherToken(refused: string | null): Promise<void> {
  if (token() !== refused) return;
  state.set({ locked: refused ? WRONG : NEEDED });
  await new Promise<void>((resolve) => {
    waiting.add(resolve);
    setTimeout(resolve, PAUSE);
  });
}

function goOn(): void {
  for (const wake of waiting) wake();
  waiting.clear();
}

function tokenIn(address: string): string | null {
  const found = /[#?&]token=([^#?&\s]+)/.exec(address)?.[1];
  try {
    return found ? decodeURIComponent(found) : null;
  } catch {
    return null;
  }
}

/** Out of the address bar and the history at once: both are seen, kept and passed on. */
function takeFromAddress(): void {
  const given = tokenIn(location.search + location.hash);
  if (given === null) return;
  history.replaceState(history.state, "", location.pathname);
  giveToken(given);
}

takeFromAddress();
addEventListener("hashchange", takeFromAddress); // the address was pasted into this tab
addEventListener("storage", goOn); // or into another one
