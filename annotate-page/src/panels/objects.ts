// The table of objects.
import { remove } from "../actions/objects";
import { agreementOf, order, sortBy, sorted, step, type Column } from "../actions/order";
import { refine, resume } from "../actions/session";
import { zoomToBox } from "../map/view";
import { classOf, state } from "../state";
import { editVertices } from "../tools/vertices";
import { button } from "../ui/button";
import { h, swatch } from "../ui/dom";
import { area, count } from "../ui/format";
import { rows } from "../ui/rows";
import type { Annotation } from "../types";
import { openAttributes } from "./attributes";
import { deletedObjects } from "./deleted";

const COLUMNS: [Column, string][] = [
  ["id", "#"],
  ["class", "Class"],
  ["area", "Area"],
  ["clicks", "Clicks"],
  ["agreement", "Sure"], // where a refined layer was loaded
];

function row(object: Annotation, index: number, chosen: boolean): HTMLElement {
  const kind = classOf(object.class_id);
  const cell = (name: string, ...content: (Node | string)[]) =>
    h("span", { class: name, role: "gridcell" }, ...content);
  return h(
    "div",
    {
      class: "row",
      role: "row",
      id: `object-${object.id}`,
      "aria-rowindex": index + 2,
      "aria-selected": String(chosen),
      "data-testid": "object-row",
      "data-object": object.id,
    },
    cell("id", String(object.id)),
    cell(
      "kind",
      swatch(kind?.colour ?? null),
      h("span", { class: "name" }, kind?.name ?? "no class"),
    ),
    cell("area", area(object)),
    cell("clicks", String(object.clicks)),
    cell("agreement", agreementOf(object)?.toFixed(2) ?? ""),
  );
}

export function objectPanel(): HTMLElement {
  let list: Annotation[] = [];
  const total = h("span", { class: "total", "data-testid": "object-count" });
  const headings = h("div", { class: "headings", role: "row" });
  const hint = h("p", { class: "empty" });
  const make = (one: Annotation, index: number) => row(one, index, one.id === state.now.selected);
  const { element, body, show, draw, reveal: bringIntoView } = rows(make, hint);
  const table = h(
    "div",
    {
      class: "table",
      role: "grid",
      tabindex: 0,
      "aria-label": "Objects",
      "data-testid": "objects",
    },
    headings,
    element,
  );

  const heading = ([column, name]: [Column, string]) => {
    const sort = () => {
      sortBy(column);
      resort();
    };
    const active = order().column === column;
    const direction = order().descending ? "descending" : "ascending";
    return h(
      "span",
      { class: column, role: "columnheader", "aria-sort": active ? direction : "none" },
      h("button", { type: "button", tabindex: -1, on: { click: sort } }, name),
    );
  };

  function resort(): void {
    list = sorted();
    headings.replaceChildren(...COLUMNS.map(heading));
    const refined = list.some((one) => agreementOf(one) !== null);
    table.classList.toggle("refined", refined);
    table.setAttribute("aria-rowcount", String(list.length + 1));
    total.textContent = count(list.length, "object");
    show(list);
  }

  function reveal(): void {
    const { selected } = state.now;
    const at = list.findIndex((one) => one.id === selected);
    if (at >= 0) {
      bringIntoView(at);
      table.setAttribute("aria-activedescendant", `object-${selected}`);
    } else table.removeAttribute("aria-activedescendant");
    draw();
  }

  const objectOf = (event: Event) => {
    const id = (event.target as HTMLElement).closest<HTMLElement>(".row")?.dataset.object;
    return list.find((one) => String(one.id) === id);
  };
  body.addEventListener("click", (event) => {
    const object = objectOf(event);
    if (!object) return;
    state.set({ selected: object.id });
    zoomToBox(object.bbox);
  });
  body.addEventListener("dblclick", (event) => refine(objectOf(event)?.id ?? null));
  table.addEventListener("keydown", (event) => {
    if (event.target !== table) return;
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else if (event.key === "Enter") refine(state.now.selected);
    else return;
    event.preventDefault();
  });
  state.on(["objects", "project"], resort);
  state.on(["selected"], reveal);
  state.on(["objects", "listing"], () => {
    const { objects, listing } = state.now;
    hint.hidden = objects.size > 0;
    hint.textContent = listing ? "Loading …" : "Finished objects are listed here.";
  });

  const { toggle, list: deleted } = deletedObjects();
  const actions = objectActions();
  state.on(["deleted"], () => {
    table.hidden = actions.hidden = state.now.deleted !== null;
  });
  return h(
    "section",
    { class: "objects", "aria-label": "Objects" },
    h("header", {}, h("h2", {}, "Objects"), total, toggle),
    unfinishedList(),
    table,
    deleted,
    actions,
  );
}

/** What can be done with the selected object. */
function objectActions(): HTMLElement {
  const selected = () => state.now.selected;
  const actions = [
    button({
      label: "Refine by clicks",
      shortcut: "R",
      symbol: "refine",
      text: "Refine",
      testid: "refine",
      run: () => refine(selected()),
    }),
    button({
      label: "Edit corners",
      shortcut: "E",
      symbol: "vertices",
      testid: "edit-vertices",
      run: editVertices,
    }),
    button({
      label: "Attributes",
      shortcut: "A",
      symbol: "tag",
      testid: "attributes",
      run: openAttributes,
    }),
    button({
      label: "Delete object",
      shortcut: "Del",
      symbol: "trash",
      testid: "delete",
      run: () => remove(selected()),
    }),
  ];
  state.on(["selected"], () => {
    for (const one of actions) one.disabled = selected() === null;
  });
  return h("div", { class: "actions", role: "group", "aria-label": "Selected object" }, ...actions);
}

/** Objects begun elsewhere or earlier. */
function unfinishedList(): HTMLElement {
  const list = h("div", { class: "unfinished" });
  state.on(["unfinished"], () => {
    list.replaceChildren(
      ...state.now.unfinished.map((session) =>
        h(
          "button",
          {
            type: "button",
            class: "class",
            "data-testid": "unfinished",
            on: { click: () => void resume(session) },
          },
          swatch(null),
          h("span", { class: "name" }, `Unfinished, ${count(session.clicks.length, "click")}`),
          h("span", { class: "number" }, "resume"),
        ),
      ),
    );
  });
  return list;
}
