// Several tabs of one browser: each draws its own object.
import { state } from "../state";

const PATIENCE = 150; // ms that other tabs have to answer

const channel = new BroadcastChannel(`annotator ${location.pathname}`);
let heard: Set<string> | null = null;

channel.addEventListener("message", ({ data }: MessageEvent<string>) => {
  const { session } = state.now;
  if (data !== "which?") heard?.add(data);
  else if (session) channel.postMessage(String(session.id));
});

/** The sessions that other tabs are drawing. */
export async function sessionsOfOtherTabs(): Promise<ReadonlySet<string>> {
  heard = new Set();
  channel.postMessage("which?");
  await new Promise((resolve) => setTimeout(resolve, PATIENCE));
  return heard;
}
