// Objects to a file.
import { exported } from "../actions/exporting";
import { state } from "../state";
import type { ExportJob } from "../types";
import { button } from "../ui/button";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { timeLeft } from "../ui/format";
import { toast } from "../ui/toast";

const FORMATS: [string, string, string][] = [
  ["gpkg", "GeoPackage", "the image's CRS, classes and attributes in its table"],
  ["geojson", "GeoJSON", "longitude and latitude (RFC 7946)"],
  ["shp", "Shapefile", "zipped"],
  ["coco", "COCO, masks", "JSON, run lengths (RLE)"],
  ["coco-polygons", "COCO, polygons", "JSON, holes kept"],
  ["yolo", "YOLO-seg", "text, one line an object"],
  ["ids-png", "Object ids, PNG", "16-bit mask"],
  ["ids-tif", "Object ids, GeoTIFF", "georeferenced mask"],
  ["classes-tif", "Classes, GeoTIFF", "georeferenced mask"],
  ["clicks", "Clicks", "journal: every click with its time"],
];

const KEY = "export";

export function openExport(): void {
  const { image } = state.now;
  if (!image) return;
  const last = localStorage.getItem(KEY) ?? "gpkg";
  const formats = FORMATS.map(([value, name, note]) =>
    h(
      "label",
      { class: "option" },
      h("input", { type: "radio", name: "format", value, checked: value === last }),
      h("span", { class: "name" }, name),
      h("span", { class: "note" }, note),
    ),
  );
  const simplify = h("input", {
    type: "number",
    min: 0,
    step: "any",
    value: 0,
    "aria-label": "Simplify outlines by at most so many pixels",
    "data-testid": "export-simplify",
  });
  const rectangles = h("input", { type: "checkbox", "data-testid": "export-rectangles" });
  const choices = h(
    "div",
    { class: "options", role: "radiogroup", "aria-label": "Format" },
    ...formats,
  );
  const running = progressRow();
  openForm(
    "Export objects",
    "export-dialog",
    [
      choices,
      h("div", { class: "field" }, h("span", { class: "field-name" }, "Simplify"), simplify, "px"),
      h("label", { class: "check" }, rectangles, "Make corners right angles (buildings)"),
      running.row,
    ],
    "Download",
    async (closed) => {
      const format = choices.querySelector<HTMLInputElement>("input:checked")?.value ?? "gpkg";
      localStorage.setItem(KEY, format);
      const options = { format, simplify: Number(simplify.value), rectangles: rectangles.checked };
      const cancelled = running.begin();
      const leave = () => {
        running.cancel();
        toast("The export was cancelled");
      };
      closed.addEventListener("abort", leave);
      try {
        const { content, name } = await exported(image.id, options, cancelled, running.show);
        save(content, name);
      } finally {
        closed.removeEventListener("abort", leave);
        running.end();
      }
    },
  );
}

/** How far an export is, and a button that ends it; hidden while there is none. */
function progressRow() {
  let wanted = new AbortController();
  const bar = h("progress", { "aria-label": "Export" });
  const words = h("span", { class: "hint", "data-testid": "export-progress" });
  const cancel = () => wanted.abort();
  const stop = button({ label: "Cancel", text: "Cancel", testid: "export-cancel", run: cancel });
  const row = h("div", { class: "running", hidden: true }, bar, words, stop);
  return {
    row,
    cancel,
    begin: () => {
      wanted = new AbortController();
      bar.removeAttribute("value"); // not known yet
      words.textContent = "";
      row.hidden = false;
      return wanted.signal;
    },
    show: ({ done, total, seconds_left }: ExportJob) => {
      if (!total) return;
      bar.value = done / total;
      const left = seconds_left === null ? "" : `, ${timeLeft(seconds_left)}`;
      words.textContent = `${Math.floor((100 * done) / total)} %${left}`;
    },
    end: () => (row.hidden = true),
  };
}

function save(content: Blob, name: string): void {
  const href = URL.createObjectURL(content);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
