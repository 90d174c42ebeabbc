// Every key in one table; the help sheet is drawn from it.
import { remove, chooseClass } from "../actions/objects";
import { step } from "../actions/order";
import { cancel, finish, redo, refine, undo } from "../actions/session";
import { fitAll, zoomBy } from "../map/view";
import { drawing } from "../net/operations";
import { openAttributes } from "../panels/attributes";
import { openHelp } from "../panels/help";
import { state } from "../state";
import { typing } from "../ui/dom";
import { callOff } from "./press";
import { cursorAt, moveCursor, pressCursor, stepCorner } from "./cursor";
import { dropVertices, editVertices, redoVertices, saveVertices, undoVertices } from "./vertices";

interface Shortcut {
  keys: string[]; // "Ctrl+Shift+Z", "Space", "ArrowUp", "N"
  shown?: string; // in the help sheet, where `keys` would be long
  does: string;
  group: "Object" | "Objects" | "View" | "Keyboard cursor";
  run: () => void;
}

const editing = () => state.now.tool === "vertices";
const toggle = (key: "probability" | "outlineOnly" | "hidden") => () =>
  state.set({ [key]: !state.now[key] });

function escape(): void {
  if (editing()) dropVertices();
  else if (drawing()) cancel();
  else if (state.now.tool !== "click") state.set({ tool: "click" });
  else state.set({ selected: null });
}

function enter(): void {
  if (editing()) void saveVertices();
  else finish();
}

const COARSE = 12; // screen pixels
const arrows = (prefix: string, by: number): string[][] => [
  [`${prefix}ArrowLeft`, `${-by}`, "0"],
  [`${prefix}ArrowRight`, `${by}`, "0"],
  [`${prefix}ArrowUp`, "0", `${-by}`],
  [`${prefix}ArrowDown`, "0", `${by}`],
];

export const SHORTCUTS: Shortcut[] = [
  { keys: ["C"], does: "Click tool", group: "Object", run: () => state.set({ tool: "click" }) },
  { keys: ["B"], does: "Start with a box", group: "Object", run: () => state.set({ tool: "box" }) },
  { keys: ["Enter"], does: "Finish", group: "Object", run: enter },
  { keys: ["Escape"], shown: "Esc", does: "Cancel, leave", group: "Object", run: escape },
  {
    keys: ["Ctrl+Z"],
    does: "Undo",
    group: "Object",
    run: () => (editing() ? undoVertices() : undo()),
  },
  {
    keys: ["Ctrl+Shift+Z", "Ctrl+Y"],
    does: "Redo",
    group: "Object",
    run: () => (editing() ? redoVertices() : redo()),
  },
  { keys: ["V"], does: "Select tool", group: "Objects", run: () => state.set({ tool: "select" }) },
  {
    keys: ["N", "]"],
    does: "Next object or corner",
    group: "Objects",
    run: () => (editing() ? stepCorner : step)(1),
  },
  {
    keys: ["P", "["],
    does: "Previous object or corner",
    group: "Objects",
    run: () => (editing() ? stepCorner : step)(-1),
  },
  {
    keys: ["R"],
    does: "Refine by clicks",
    group: "Objects",
    run: () => refine(state.now.selected),
  },
  { keys: ["E"], does: "Edit corners", group: "Objects", run: editVertices },
  { keys: ["A"], does: "Attributes", group: "Objects", run: openAttributes },
  {
    keys: ["Delete", "Backspace"],
    shown: "Del",
    does: "Delete",
    group: "Objects",
    run: () => (editing() ? pressCursor(false) : remove(state.now.selected)),
  },
  { keys: ["M"], does: "Probabilities", group: "View", run: toggle("probability") },
  { keys: ["O"], does: "Outlines only", group: "View", run: toggle("outlineOnly") },
  { keys: ["H"], does: "Hide objects", group: "View", run: toggle("hidden") },
  { keys: ["+", "="], does: "Zoom in", group: "View", run: () => zoomBy(1.5, spot()) },
  { keys: ["-", "_"], does: "Zoom out", group: "View", run: () => zoomBy(1 / 1.5, spot()) },
  { keys: ["0"], does: "Whole image", group: "View", run: fitAll },
  { keys: ["?"], does: "This sheet", group: "View", run: openHelp },
  ...[...arrows("", COARSE), ...arrows("Shift+", 1)].map(([key = "", dx, dy]) => ({
    keys: [key],
    shown: "",
    does: "",
    group: "Keyboard cursor" as const,
    run: () => moveCursor(Number(dx), Number(dy)),
  })),
  {
    keys: [" "],
    shown: "Space",
    does: "Click: add; hold, drop a corner",
    group: "Keyboard cursor",
    run: () => pressCursor(true),
  },
  {
    keys: ["Shift+ "],
    shown: "Shift+Space",
    does: "Click: remove; corner as well",
    group: "Keyboard cursor",
    run: () => pressCursor(false),
  },
];

function spot(): { x: number; y: number } | undefined {
  return cursorAt() ?? state.now.pointer ?? undefined;
}

/** Keys that classes must not take. */
export const RESERVED = new Set(SHORTCUTS.flatMap((one) => one.keys));

const byKey = new Map(SHORTCUTS.flatMap((one) => one.keys.map((key) => [key, one] as const)));

function nameOf(event: KeyboardEvent): string {
  const { key } = event;
  const printable = key.length === 1 && key !== " ";
  const letter = printable && key.toLowerCase() !== key.toUpperCase();
  let name = letter ? key.toUpperCase() : key;
  // Which signs need shift is the keyboard layout's business.
  const control = event.ctrlKey || event.metaKey;
  if (event.shiftKey && (!printable || (letter && control))) name = `Shift+${name}`;
  return control ? `Ctrl+${name}` : name;
}

export function watchKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.defaultPrevented || typing(event.target)) return;
    const name = nameOf(event);
    const target = event.target as HTMLElement;
    // A focused control keeps the keys that operate it.
    const control = target.closest("button, input, [role=grid], summary, a");
    if (control && /^(Shift\+)?(Enter| |Arrow.*)$/.test(name)) return;
    const chosen = state.now.project?.classes.find(
      (one) => one.shortcut && one.shortcut.toUpperCase() === name,
    );
    const shortcut = byKey.get(name);
    if (!chosen && !shortcut) return;
    event.preventDefault();
    // Keys call off what the mouse is doing; those that take something back take back just that.
    if (callOff() && (name === "Escape" || name === "Ctrl+Z")) return;
    if (chosen) chooseClass(chosen.id);
    else shortcut?.run();
  });
}
