// Short notices at the lower edge; one may carry a way back.
import { h } from "./dom";

const holder = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
document.body.append(holder);

export function toast(
  message: string,
  options: { bad?: boolean; action?: { label: string; run: () => void } } = {},
): void {
  const { action, bad } = options;
  const box = h("div", { class: bad ? "toast bad" : "toast", "data-testid": "toast" }, message);
  const close = () => box.remove();
  if (action) {
    const run = () => {
      action.run();
      close();
    };
    box.append(h("button", { type: "button", class: "link", on: { click: run } }, action.label));
  }
  holder.append(box);
  while (holder.childElementCount > 3) holder.firstElementChild?.remove();
  setTimeout(close, bad || action ? 8000 : 3500);
}

/** Says what went wrong; for the end of a promise. */
export function complain(error: unknown): void {
  toast(error instanceof Error ? error.message : String(error), { bad: true });
}
