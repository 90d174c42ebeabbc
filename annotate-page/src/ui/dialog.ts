// Modal dialogs: the browser's own, with one look.
import { h } from "./dom";
import { icon } from "./icons";

export function openDialog(title: string, testid: string, ...content: (Node | string)[]) {
  const close = () => dialog.close();
  const closed = () => {
    dialog.remove();
    // The browser focuses what opened the dialog; Space and Enter are to mean the map again.
    (document.activeElement as HTMLElement | null)?.blur();
  };
  const dialog = h(
    "dialog",
    { "aria-label": title, "data-testid": testid, on: { close: closed } },
    h(
      "header",
      {},
      h("h2", {}, title),
      h(
        "button",
        { type: "button", class: "icon-button", "aria-label": "Close", on: { click: close } },
        icon("cross"),
      ),
    ),
    h("div", { class: "dialog-body" }, ...content),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // the backdrop
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close };
}

/**
 * Fields and a button row; `submit` may throw, its sentence is shown and the dialog stays. The
 * signal tells it that the dialog is closed meanwhile.
 */
export function openForm(
  title: string,
  testid: string,
  fields: (Node | string)[],
  verb: string,
  submit: (closed: AbortSignal) => Promise<void> | void,
): void {
  const problem = h("p", { class: "problem", role: "alert" });
  const confirm = h("button", { type: "submit", class: "primary", "data-testid": "confirm" }, verb);
  const form = h("form", {}, ...fields, problem, h("footer", {}, confirm));
  const { dialog, close } = openDialog(title, testid, form);
  const closing = new AbortController();
  dialog.addEventListener("close", () => closing.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    problem.textContent = "";
    try {
      await submit(closing.signal);
      close();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      confirm.disabled = false;
    }
  });
}
