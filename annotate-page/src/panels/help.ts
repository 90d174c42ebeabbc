// The help sheet: every key, and what the mouse does.
import { SHORTCUTS } from "../tools/shortcuts";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";

const MOUSE: [string, string][] = [
  ["Left click", "Add to the object, or start one"],
  ["Right click", "Remove from the object"],
  ["Shift+click", "Remove as well"],
  ["Drag, wheel", "Pan, zoom"],
  ["Double click", "Refine an object (select tool)"],
];

const CURSOR: [string, string][] = [
  ["Arrows", "Move"],
  ["Shift+arrows", "Move by one screen pixel"],
];

function keys(text: string): Node[] {
  return text
    .split("+")
    .flatMap((key, i) => [...(i ? [document.createTextNode("+")] : []), h("kbd", {}, key || "+")]);
}

function sheet(title: string, lines: [Node[], string][]): HTMLElement {
  return h(
    "section",
    {},
    h("h3", {}, title),
    h("dl", {}, ...lines.flatMap(([key, does]) => [h("dt", {}, ...key), h("dd", {}, does)])),
  );
}

export function openHelp(): void {
  const plain = (lines: [string, string][]): [Node[], string][] =>
    lines.map(([name, does]) => [[h("kbd", {}, name)], does]);
  const group = (name: string): [Node[], string][] =>
    SHORTCUTS.filter((one) => one.group === name && one.does).map((one) => {
      const names = one.shown ? [one.shown] : one.keys.filter((key) => key !== "=" && key !== "_");
      const joined = names.flatMap((key, i) => [
        ...(i ? [document.createTextNode(" ")] : []),
        ...(key === "+" ? [h("kbd", {}, "+")] : keys(key)),
      ]);
      return [joined, one.does];
    });
  openDialog(
    "Mouse and keys",
    "help-sheet",
    h(
      "div",
      { class: "help" },
      sheet("Mouse", plain(MOUSE)),
      sheet("The object being drawn", group("Object")),
      sheet("Finished objects", group("Objects")),
      sheet("View", group("View")),
      sheet("Without a mouse", [...plain(CURSOR), ...group("Keyboard cursor")]),
      sheet("Classes", plain([["1 … 9", "Class of the next or the selected object"]])),
    ),
    h(
      "p",
      { class: "hint" },
      "Every click is saved the moment it is made; there is no save button.",
    ),
  );
}
