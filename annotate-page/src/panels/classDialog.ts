// Naming and colouring classes.
import { api } from "../net/api";
import { state } from "../state";
import { RESERVED } from "../tools/shortcuts";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import type { Id, ObjectClass } from "../types";

// Colours that stay apart on green, grey and brown ground.
const PALETTE = [
  "#ff5a4f",
  "#3aa0ff",
  "#ffd23f",
  "#b46bff",
  "#2fd09a",
  "#ff8f2e",
  "#ff6fb5",
  "#9fe04a",
];

function freeShortcut(taken: Set<string>): string {
  return ["1", "2", "3", "4", "5", "6", "7", "8", "9"].find((key) => !taken.has(key)) ?? "";
}

export function openClasses(): void {
  const rows = h("div", { class: "class-rows" });

  function addRow(one: Partial<ObjectClass>): void {
    const field = (name: string, label: string, value: string, more = {}) =>
      h("input", { name, "aria-label": label, value, ...more });
    const row = h(
      "div",
      { class: "class-row", "data-id": one.id === undefined ? null : JSON.stringify(one.id) },
      field("colour", "Colour", one.colour ?? "#ffffff", { type: "color" }),
      field("name", "Name", one.name ?? "", { required: true, maxlength: 80, placeholder: "name" }),
      field("shortcut", "Key", one.shortcut ?? "", { maxlength: 1, placeholder: "key" }),
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          "aria-label": `Remove class ${one.name ?? ""}`,
          on: { click: () => row.remove() },
        },
        icon("cross"),
      ),
    );
    rows.append(row);
  }

  const read = () =>
    [...rows.querySelectorAll<HTMLElement>(".class-row")].map((row) => {
      const value = (name: string) =>
        row.querySelector<HTMLInputElement>(`[name=${name}]`)?.value.trim() ?? "";
      const id = row.dataset.id === undefined ? undefined : (JSON.parse(row.dataset.id) as Id);
      return {
        ...(id === undefined ? {} : { id }),
        name: value("name"),
        colour: value("colour"),
        shortcut: value("shortcut") || null,
      };
    });

  function add(): void {
    const present = read();
    const colours = new Set(present.map((one) => one.colour));
    addRow({
      colour:
        PALETTE.find((one) => !colours.has(one)) ?? PALETTE[present.length % PALETTE.length] ?? "",
      shortcut: freeShortcut(new Set(present.map((one) => one.shortcut ?? ""))),
    });
    rows.querySelector<HTMLElement>(".class-row:last-child [name=name]")?.focus();
  }

  for (const one of state.now.project?.classes ?? []) addRow(one);
  const adding = h(
    "button",
    { type: "button", class: "text-button", "data-testid": "add-class", on: { click: add } },
    icon("plus"),
    "Add a class",
  );
  openForm("Classes", "class-dialog", [rows, adding], "Save", async () => {
    const classes = read();
    const keys = classes.flatMap(({ shortcut }) => (shortcut ? [shortcut.toUpperCase()] : []));
    const reserved = keys.find((key) => RESERVED.has(key));
    if (reserved) throw new Error(`The key ${reserved} is taken by the tool; choose another`);
    if (new Set(keys).size < keys.length) throw new Error("Two classes have the same key");
    const names = new Set(classes.map(({ name }) => name));
    if (names.size < classes.length) throw new Error("Two classes have the same name");
    const saved = await api.putClasses(classes);
    const { project, activeClass } = state.now;
    if (!project) return;
    const kept = saved.some((one) => one.id === activeClass);
    state.set({
      project: { ...project, classes: saved },
      ...(kept ? {} : { activeClass: saved[0]?.id ?? null }),
    });
  });
}
