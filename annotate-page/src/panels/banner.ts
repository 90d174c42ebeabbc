// Says when the server is gone, and that nothing is lost by it; or that a file was changed.
import { acceptFile } from "../actions/images";
import { retryNow } from "../net/connection";
import { state } from "../state";
import { h } from "../ui/dom";
import { complain } from "../ui/toast";

export function banner(): HTMLElement {
  const text = h("span");
  const again = h(
    "button",
    { type: "button", class: "text-button", on: { click: retryNow } },
    "Try now",
  );
  const accept = h(
    "button",
    {
      type: "button",
      class: "text-button",
      "data-testid": "accept-file",
      on: { click: () => void acceptFile().catch(complain) },
    },
    "Use the file as it is now",
  );
  const bar = h(
    "div",
    { class: "banner", role: "alert", "data-testid": "banner", hidden: true },
    text,
    again,
    accept,
  );
  state.on(["reachable", "waiting", "project", "fault", "image"], () => {
    const { reachable, waiting, project, fault, image } = state.now;
    const broken = project?.model.error;
    const changed = image?.changed ?? null;
    const failure = fault ?? changed ?? (broken ? `No clicks can be computed: ${broken}` : null);
    bar.hidden = reachable && failure === null;
    again.hidden = reachable;
    accept.hidden = !reachable || fault !== null || changed === null;
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
