// The bar above the map: image, undo, view, files.
import { redo, undo } from "../actions/session";
import { state } from "../state";
import { redoVertices, undoVertices } from "../tools/vertices";
import { button, press } from "../ui/button";
import { h } from "../ui/dom";
import type { IconName } from "../ui/icons";
import { toggleTheme } from "../ui/theme";
import { openExport } from "./exporting";
import { openHelp } from "./help";
import { imageSwitcher } from "./images";
import { openImport } from "./importing";
import { openRecipe } from "./recipe";

type Toggle = "probability" | "outlineOnly" | "hidden";

function toggle(key: Toggle, label: string, shortcut: string, symbol: IconName): HTMLElement {
  const run = () => state.set({ [key]: !state.now[key] });
  const element = button({ label, shortcut, symbol, run, testid: `toggle-${key}` });
  state.on([key], () => press(element, state.now[key]));
  return element;
}

function opacity(): HTMLElement {
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 100,
    value: Math.round(state.now.opacity * 100),
    "aria-label": "Opacity of objects",
    title: "Opacity of objects",
    "data-testid": "opacity",
    on: { input: () => state.set({ opacity: Number(slider.value) / 100 }) },
  });
  return slider;
}

const group = (label: string, ...children: Node[]) =>
  h("div", { class: "group", role: "group", "aria-label": label }, ...children);

export function topBar(): HTMLElement {
  const editing = () => state.now.tool === "vertices";
  const recipe = button({
    label: "Bands and stretch",
    testid: "recipe",
    symbol: "bands",
    run: openRecipe,
  });
  const importing = button({
    label: "Import objects",
    testid: "import",
    symbol: "upload",
    text: "Import",
    run: openImport,
  });
  const exporting = button({
    label: "Export objects",
    testid: "export",
    symbol: "download",
    text: "Export",
    run: openExport,
  });
  state.on(["image"], () => {
    for (const one of [recipe, importing, exporting]) one.disabled = !state.now.image;
  });
  return h(
    "header",
    { class: "top" },
    group("Image", imageSwitcher(), recipe),
    group(
      "History",
      button({
        label: "Undo",
        shortcut: "Ctrl+Z",
        symbol: "undo",
        testid: "undo",
        run: () => (editing() ? undoVertices() : undo()),
      }),
      button({
        label: "Redo",
        shortcut: "Ctrl+Shift+Z",
        symbol: "redo",
        testid: "redo",
        run: () => (editing() ? redoVertices() : redo()),
      }),
    ),
    group(
      "View",
      toggle("probability", "Probabilities", "M", "heat"),
      toggle("outlineOnly", "Outlines only", "O", "outline"),
      toggle("hidden", "Hide objects", "H", "eye"),
      opacity(),
    ),
    h("div", { class: "spring" }),
    group("Files", importing, exporting),
    group(
      "Page",
      button({ label: "Dark or light", symbol: "theme", testid: "theme", run: toggleTheme }),
      button({ label: "Help", shortcut: "?", symbol: "help", testid: "help", run: openHelp }),
    ),
  );
}
