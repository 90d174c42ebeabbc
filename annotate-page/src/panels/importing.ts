// Objects from a file: vectors or a mask, to be corrected by clicks.
import { wayBack } from "../actions/history";
import { reload } from "../actions/objects";
import { api } from "../net/api";
import { newKey } from "../net/request";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { count } from "../ui/format";
import { progressRow } from "../ui/progress";
import { toast } from "../ui/toast";
import type { Id, ImportPreview, Repeated } from "../types";

const CHOICES: [Repeated, string][] = [
  ["skip", "Leave out those that are there"],
  ["replace", "Replace those that are there"],
  ["add", "Add all"],
];
const INTERVAL = 500; // ms between questions how far it is
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
  const running = progressRow("Import", "import");
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
      running.row,
    ],
    "Import",
    async (closed) => {
      const chosen = file.files?.[0];
      if (!chosen) return;
      const read = (key: string) => api.previewImport(image.id, chosen, key);
      const preview = await watched(read, running, closed);
      if (preview.repeated || preview.doubts.length) ask(image.id, chosen, preview);
      else await bring(image.id, chosen, "skip", running, closed);
    },
  );
}

type Row = ReturnType<typeof progressRow>;

/** Shows how far the server is with a request; its button, or closing the dialog, cancels it. */
async function watched<T>(
  request: (key: string) => Promise<T>,
  running: Row,
  closed: AbortSignal,
): Promise<T> {
  const key = newKey();
  const cancel = () => void api.cancelImport(key).catch(() => undefined);
  running.begin().addEventListener("abort", cancel);
  closed.addEventListener("abort", cancel);
  const look = () => void api.importState(key).then(running.show, () => undefined);
  const timer = setInterval(look, INTERVAL);
  try {
    return await request(key);
  } finally {
    clearInterval(timer);
    closed.removeEventListener("abort", cancel);
    running.end();
  }
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
  const running = progressRow("Import", "import");
  const lines = [`${file.name} holds ${count(objects, "object")}${where}.`, ...preview.doubts];
  if (repeated)
    lines.push(
      `${count(repeated, "object")} in it where one is already; with exactly its pixels: ${identical}.`,
    );
  openForm(
    "Import objects",
    "import-choice",
    [...lines.map((line) => h("p", {}, line)), ...(repeated ? [choice] : []), running.row],
    "Import",
    (closed) => bring(image, file, choice.value as Repeated, running, closed),
  );
}

async function bring(
  image: Id,
  file: File,
  repeated: Repeated,
  running: Row,
  closed: AbortSignal,
): Promise<void> {
  const send = (key: string) => api.importFile(image, file, repeated, key);
  const report = await watched(send, running, closed);
  const { undo } = await api.history(image);
  await reload();
  const replaced = report.replaced ? `, ${report.replaced} of them in the place of others` : "";
  const skipped = report.skipped ? `, ${report.skipped} skipped` : "";
  const imported = `${count(report.objects, "object")} imported${replaced}${skipped}`;
  const action = undo && report.objects ? wayBack("Undo", undo.edit) : undefined;
  toast([imported, ...report.notes].join(". "), action && { action });
}
