// Says when the server is gone, and that nothing is lost by it.
import { retryNow } from "../net/connection";
import { state } from "../state";
import { h } from "../ui/dom";

export function banner(): HTMLElement {
  const text = h("span");
  const again = h(
    "button",
    { type: "button", class: "text-button", on: { click: retryNow } },
    "Try now",
  );
  const bar = h(
    "div",
    { class: "banner", role: "alert", "data-testid": "banner", hidden: true },
    text,
    again,
  );
  state.on(["reachable", "waiting", "project", "fault"], () => {
    const { reachable, waiting, project, fault } = state.now;
    const broken = project?.model.error;
    const failure = fault ?? (broken ? `No clicks can be computed: ${broken}` : null);
    bar.hidden = reachable && failure === null;
    again.hidden = reachable;
    if (reachable) {
      text.textContent = failure;
      return;
    }
    const kept = waiting
      ? ` ${waiting === 1 ? "One step waits" : `${waiting} steps wait`} here and will be sent when it is back.`
      : "";
    text.textContent = `The server does not answer; trying again.${kept}`;
  });
  return bar;
}
