// Attributes of the selected object: names and values.
import { setAttributes } from "../actions/objects";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { toast } from "../ui/toast";

/** Text that reads as a number or yes/no is kept as such. */
function parse(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && String(Number(text)) === text ? Number(text) : text;
}

const show = (value: unknown) =>
  typeof value === "object" ? JSON.stringify(value) : String(value);

export function openAttributes(): void {
  const { selected, objects } = state.now;
  const object = selected === null ? undefined : objects.get(selected);
  if (!object) {
    toast("Select an object first");
    return;
  }
  const rows = h("div", { class: "attribute-rows" });
  const untouched = new Map<Element, unknown>();
  const add = (name: string, value: string) => {
    const row = h(
      "div",
      { class: "attribute-row" },
      h("input", { name: "name", "aria-label": "Name", value: name, placeholder: "name" }),
      h("input", { name: "value", "aria-label": "Value", value, placeholder: "value" }),
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          "aria-label": `Remove attribute ${name}`,
          on: { click: () => row.remove() },
        },
        icon("cross"),
      ),
    );
    rows.append(row);
    return row;
  };
  for (const [name, value] of Object.entries(object.attributes)) {
    untouched.set(add(name, show(value)), value);
  }
  if (!rows.childElementCount) add("", "");
  const adding = h(
    "button",
    {
      type: "button",
      class: "text-button",
      on: { click: () => add("", "").querySelector("input")?.focus() },
    },
    icon("plus"),
    "Add an attribute",
  );
  openForm(`Attributes of object ${object.id}`, "attribute-dialog", [rows, adding], "Save", () => {
    const attributes: Record<string, unknown> = {};
    for (const row of rows.children) {
      const [name, value] = [...row.querySelectorAll("input")].map((one) => one.value.trim());
      if (!name) continue;
      if (name in attributes) throw new Error(`Two attributes are called ${name}`);
      const before = untouched.get(row);
      attributes[name] =
        before !== undefined && show(before) === value ? before : parse(value ?? "");
    }
    return setAttributes(object, attributes);
  });
}
