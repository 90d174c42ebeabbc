// Several tabs of one browser: each draws its own object.
import { ofProject, state } from "../state";

const PATIENCE = 150; // ms that other tabs have to answer

const channel = new BroadcastChannel(`annotator ${location.pathname}`);
let heard: Set<string> | null = null;

channel.addEventListener("message", ({ data }: MessageEvent<string>) => {
  const { session } = state.now;
  if (data !== "which?") heard?.add(data);
  else if (session) channel.postMessage(ofProject(String(session.id)));
});

/** Tells of sessions whether another tab is drawing them. */
export async function drawnInOtherTabs(): Promise<(id: string | number) => boolean> {
  const answers = new Set<string>();
  heard = answers;
  channel.postMessage("which?");
  await new Promise((resolve) => setTimeout(resolve, PATIENCE));
  return (id) => answers.has(ofProject(String(id)));
}
