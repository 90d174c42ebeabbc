// The classes: which one comes next, by click or by key.
import { chooseClass } from "../actions/objects";
import { state } from "../state";
import { button } from "../ui/button";
import { h, swatch } from "../ui/dom";
import { openClasses } from "./classDialog";

export function classPanel(): HTMLElement {
  const list = h("div", { class: "classes", role: "radiogroup", "aria-label": "Class" });
  state.on(["project", "activeClass", "objects"], () => {
    const { project, activeClass, objects } = state.now;
    const counts = new Map<unknown, number>();
    for (const { class_id: id } of objects.values()) counts.set(id, (counts.get(id) ?? 0) + 1);
    const focused = (document.activeElement as HTMLElement | null)?.dataset.testid;
    list.replaceChildren(
      ...(project?.classes ?? []).map((one) =>
        h(
          "button",
          {
            type: "button",
            class: "class",
            role: "radio",
            "aria-checked": String(one.id === activeClass),
            "data-testid": `class-${one.name}`,
            on: {
              click: (event) => {
                if (event.detail > 0) (event.currentTarget as HTMLElement).blur();
                chooseClass(one.id);
              },
            },
          },
          swatch(one.colour),
          h("span", { class: "name" }, one.name),
          h("span", { class: "number" }, String(counts.get(one.id) ?? 0)),
          h("kbd", {}, one.shortcut ?? ""),
        ),
      ),
    );
    if (focused?.startsWith("class-")) {
      list.querySelector<HTMLElement>(`[data-testid="${CSS.escape(focused)}"]`)?.focus();
    }
    if (!project?.classes.length) list.append(h("p", { class: "empty" }, "No classes yet"));
  });
  const edit = button({
    label: "Edit classes",
    testid: "edit-classes",
    symbol: "edit",
    run: openClasses,
  });
  return h(
    "section",
    { "aria-label": "Classes" },
    h("header", {}, h("h2", {}, "Classes"), edit),
    list,
  );
}
