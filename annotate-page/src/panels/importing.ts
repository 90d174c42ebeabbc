// Objects from a file: vectors or a mask, to be corrected by clicks.
import { wayBack } from "../actions/history";
import { reload } from "../actions/objects";
import { api } from "../net/api";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { count } from "../ui/format";
import { toast } from "../ui/toast";
import type { Id, ImportPreview, Repeated } from "../types";

const CHOICES: [Repeated, string][] = [
  ["skip", "Leave out those that are there"],
  ["replace", "Replace those that are there"],
  ["add", "Add all"],
];
const KINDS = ".gpkg,.geojson,.json,.zip,.png,.tif,.tiff";

export function openImport(): void {
  const { image } = state.now;
  if (!image) return;
  const file = h("input", {
    type: "file",
    accept: KINDS,
    required: true,
    "aria-label": "File with objects",
    "data-testid": "import-file",
  });
  openForm(
    "Import objects",
    "import-dialog",
    [
      file,
      h(
        "p",
        { class: "hint" },
        "GeoPackage, GeoJSON, a zipped Shapefile, COCO, or a mask of this image (PNG, TIFF) whose values are ids.",
      ),
    ],
    "Import",
    async () => {
      const chosen = file.files?.[0];
      if (!chosen) return;
      const preview = await api.previewImport(image.id, chosen);
      if (preview.repeated || preview.doubts.length) ask(image.id, chosen, preview);
      else await bring(image.id, chosen, "skip");
    },
  );
}

/** Asks what to do with a file that may belong to another image, or whose objects are there. */
function ask(image: Id, file: File, preview: ImportPreview): void {
  const { objects, repeated, identical, box } = preview;
  const where = box
    ? ` within ${box[2] - box[0]} × ${box[3] - box[1]} pixels from (${box[0]}, ${box[1]}) on`
    : "";
  const choice = h(
    "select",
    { "aria-label": "Objects that are there already", "data-testid": "import-repeated" },
    ...CHOICES.map(([value, text]) => h("option", { value }, text)),
  );
  const lines = [`${file.name} holds ${count(objects, "object")}${where}.`, ...preview.doubts];
  if (repeated)
    lines.push(
      `${count(repeated, "object")} in it where one is already; with exactly its pixels: ${identical}.`,
    );
  openForm(
    "Import objects",
    "import-choice",
    [...lines.map((line) => h("p", {}, line)), ...(repeated ? [choice] : [])],
    "Import",
    () => bring(image, file, choice.value as Repeated),
  );
}

async function bring(image: Id, file: File, repeated: Repeated): Promise<void> {
  const report = await api.importFile(image, file, repeated);
  const { undo } = await api.history(image);
  await reload();
  const replaced = report.replaced ? `, ${report.replaced} of them in the place of others` : "";
  const skipped = report.skipped ? `, ${report.skipped} skipped` : "";
  const imported = `${count(report.objects, "object")} imported${replaced}${skipped}`;
  const action = undo && report.objects ? wayBack("Undo", undo.edit) : undefined;
  toast([imported, ...report.notes].join(". "), action && { action });
}
