// Objects to a file.
import { api } from "../net/api";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";

const FORMATS: [string, string, string][] = [
  ["gpkg", "GeoPackage", "the image's CRS, classes and attributes in its table"],
  ["geojson", "GeoJSON", "longitude and latitude (RFC 7946)"],
  ["shp", "Shapefile", "zipped"],
  ["coco", "COCO", "JSON with RLE and polygons"],
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
  openForm(
    "Export objects",
    "export-dialog",
    [
      choices,
      h("div", { class: "field" }, h("span", { class: "field-name" }, "Simplify"), simplify, "px"),
      h("label", { class: "check" }, rectangles, "Make corners right angles (buildings)"),
    ],
    "Download",
    async () => {
      const format = choices.querySelector<HTMLInputElement>("input:checked")?.value ?? "gpkg";
      localStorage.setItem(KEY, format);
      const response = await api.exportFile(image.id, {
        format,
        simplify: simplify.value || "0",
        rectangles: rectangles.checked ? "1" : "0",
      });
      save(await response.blob(), nameOf(response) ?? `${image.name}.${format}`);
    },
  );
}

function nameOf(response: Response): string | null {
  const header = response.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(header)?.[1];
  if (encoded) return decodeURIComponent(encoded);
  return /filename="?([^";]+)"?/i.exec(header)?.[1] ?? null;
}

function save(content: Blob, name: string): void {
  const href = URL.createObjectURL(content);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
