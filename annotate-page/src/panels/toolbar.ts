// The strip of tools at the left.
import { fitAll, zoomBy } from "../map/view";
import { state, type Tool } from "../state";
import { editVertices } from "../tools/vertices";
import { button, press } from "../ui/button";
import { h } from "../ui/dom";
import type { IconName } from "../ui/icons";

const TOOLS: [Tool, string, string, IconName][] = [
  ["click", "Click: left adds, right removes", "C", "click"],
  ["box", "Start with a box", "B", "box"],
  ["select", "Select an object", "V", "select"],
  ["vertices", "Edit corners of the selected object", "E", "vertices"],
];

export function toolStrip(): HTMLElement {
  const tools = TOOLS.map(([tool, label, shortcut, symbol]) => {
    const run = () => (tool === "vertices" ? editVertices() : state.set({ tool }));
    const element = button({ label, shortcut, symbol, run, testid: `tool-${tool}` });
    state.on(["tool"], () => press(element, state.now.tool === tool));
    return element;
  });
  const zoom = (label: string, shortcut: string, symbol: IconName, run: () => void) =>
    button({ label, shortcut, symbol, run, testid: label.toLowerCase().replace(" ", "-") });
  return h(
    "div",
    { class: "strip", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    ...tools,
    h("hr"),
    zoom("Zoom in", "+", "plus", () => zoomBy(2)),
    zoom("Zoom out", "-", "minus", () => zoomBy(0.5)),
    zoom("Whole image", "0", "fit", fitAll),
  );
}
