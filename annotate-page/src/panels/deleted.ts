// Deleted objects, the last one first. Pointing at one shows where it was.
import { toggleDeleted } from "../actions/deleted";
import { restore } from "../actions/objects";
import { zoomToBox } from "../map/view";
import { classOf, state } from "../state";
import { button, press } from "../ui/button";
import { h, swatch } from "../ui/dom";
import { area } from "../ui/format";
import { rows } from "../ui/rows";
import type { Annotation } from "../types";

function row(object: Annotation): HTMLElement {
  const kind = classOf(object.class_id);
  const back = () => {
    state.set({ highlighted: null });
    restore(object.id);
  };
  return h(
    "div",
    { class: "row", "data-testid": "deleted-row", "data-object": object.id },
    h("span", { class: "id" }, String(object.id)),
    h(
      "span",
      { class: "kind" },
      swatch(kind?.colour ?? null),
      h("span", { class: "name" }, kind?.name ?? "no class"),
    ),
    h("span", { class: "area" }, area(object)),
    button({
      label: `Restore object ${object.id}`,
      symbol: "undo",
      testid: "restore",
      run: back,
    }),
  );
}

/** The button that shows the list, and the list. */
export function deletedObjects(): { toggle: HTMLElement; list: HTMLElement } {
  const toggle = button({
    label: "Deleted objects",
    symbol: "trash",
    testid: "show-deleted",
    run: toggleDeleted,
  });
  const hint = h("p", { class: "empty" }, "No object of this image was deleted.");
  const { element, body, show } = rows(row, hint);
  const list = h(
    "div",
    { class: "table", role: "region", "aria-label": "Deleted objects", "data-testid": "deleted" },
    element,
  );
  const objectOf = ({ target }: Event) => {
    const id = (target as HTMLElement).closest<HTMLElement>(".row")?.dataset.object;
    return state.now.deleted?.find((one) => String(one.id) === id) ?? null;
  };
  for (const kind of ["pointerover", "focusin"] as const) {
    body.addEventListener(kind, (event) => state.set({ highlighted: objectOf(event) }));
  }
  body.addEventListener("pointerleave", () => state.set({ highlighted: null }));
  body.addEventListener("click", (event) => {
    if ((event.target as HTMLElement).closest("button")) return;
    const object = objectOf(event);
    if (object) zoomToBox(object.bbox);
  });
  state.on(["deleted", "project"], () => {
    const { deleted } = state.now;
    list.hidden = deleted === null;
    hint.hidden = !!deleted?.length;
    press(toggle, deleted !== null);
    show(deleted ?? []);
  });
  state.on(["image"], () => toggle.toggleAttribute("disabled", !state.now.image));
  return { toggle, list };
}
