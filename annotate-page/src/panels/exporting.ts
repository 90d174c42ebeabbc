// Objects to a file.
import { exported } from "../actions/exporting";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { progressRow } from "../ui/progress";
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
  const running = progressRow("Export", "export");
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

function save(content: Blob, name: string): void {
  const href = URL.createObjectURL(content);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
