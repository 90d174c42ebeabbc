// What is going on, over the map: the object being drawn, the click being computed, what to do next.
import { cancel, finish } from "../actions/session";
import { state } from "../state";
import {
  dropVertices,
  onVertices,
  saveVertices,
  simplifyVertices,
  vertexCount,
} from "../tools/vertices";
import { classOf } from "../state";
import { button } from "../ui/button";
import { h, swatch } from "../ui/dom";
import { area, count, seconds } from "../ui/format";

const IDLE = {
  click: "Click an object to start · right click removes",
  select: "Click an object to select it · double click to refine",
  box: "Drag a box around an object",
  vertices: "",
};

export function contextBar(): HTMLElement {
  const what = h("span", { class: "what" });
  const detail = h("span", { class: "detail", "data-testid": "session-detail" });
  const busy = h("span", { class: "busy", "data-testid": "busy", role: "status" });
  const buttons = h("span", { class: "buttons" });
  const bar = h("div", { class: "context", "data-testid": "context" }, what, detail, busy, buttons);

  const small = (label: string, shortcut: string, testid: string, run: () => void, kind = "") =>
    button({ label, shortcut, testid, run, text: label, kind: `text-button ${kind}` });
  const finishing = [
    small("Cancel", "Esc", "cancel", cancel),
    small("Finish", "Enter", "finish", finish, "primary"),
  ];
  const tolerance = h("input", {
    type: "number",
    min: 0.5,
    step: 0.5,
    value: 1.5,
    "aria-label": "Simplify by at most so many pixels",
    title: "Pixels that the outline may move",
    "data-testid": "tolerance",
  });
  const editing = [
    tolerance,
    small("Simplify", "", "simplify", () => simplifyVertices(tolerance.valueAsNumber || 1)),
    small("Revert", "Esc", "revert-vertices", dropVertices),
    small("Save", "Enter", "save-vertices", () => void saveVertices(), "primary"),
  ];

  function draw(): void {
    const { session, pending, tool, selected, activeClass, image, waiting } = state.now;
    bar.hidden = !image;
    if (tool === "vertices") {
      what.replaceChildren(h("b", {}, `Corners of object ${selected}`));
      detail.textContent = `${count(vertexCount(), "corner")} · Alt+click removes one · N, Space: by keyboard`;
      buttons.replaceChildren(...editing);
    } else if (session || pending.length) {
      const object = session?.object_id ?? null;
      const name = object === null ? "New object" : `Refining object ${object}`;
      const chosen = classOf(activeClass);
      what.replaceChildren(swatch(chosen?.colour ?? null), h("b", {}, name));
      const clicks = (session?.clicks.length ?? 0) + pending.length;
      const parts = [chosen?.name ?? "no class", count(clicks, "click")];
      if (session?.geometry) parts.push(area(session));
      detail.textContent = parts.join(" · ");
      for (const one of finishing) one.disabled = false;
      if (!session?.geometry && !pending.length)
        finishing.at(-1)?.toggleAttribute("disabled", true);
      buttons.replaceChildren(...finishing);
    } else {
      what.replaceChildren(IDLE[tool]);
      detail.textContent = "";
      buttons.replaceChildren();
    }
    bar.dataset.drawing = String(!!session || waiting > 0);
  }
  onVertices(draw);
  state.on(
    ["session", "pending", "tool", "selected", "activeClass", "project", "image", "waiting"],
    draw,
  );
  state.on(["busySince", "waiting", "lastSeconds", "session", "project"], () => {
    const { busySince, waiting, lastSeconds, session, project } = state.now;
    busy.classList.toggle("working", busySince !== null);
    if (busySince !== null) {
      const work = project?.model.ready === false ? "loading the model" : "computing";
      busy.textContent = waiting > 1 ? `${work}, ${waiting - 1} waiting` : work;
    } else busy.textContent = session && lastSeconds !== null ? seconds(lastSeconds) : "";
  });
  return bar;
}
