// Objects from a file: vectors or a mask, to be corrected by clicks.
import { wayBack } from "../actions/history";
import { reload } from "../actions/objects";
import { api } from "../net/api";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";
import { count } from "../ui/format";
import { toast } from "../ui/toast";

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
      const report = await api.importFile(image.id, chosen);
      const { undo } = await api.history(image.id);
      await reload();
      const skipped = report.skipped ? `, ${report.skipped} skipped` : "";
      const said = [`${count(report.objects, "object")} imported${skipped}`, ...report.notes];
      const action = undo && report.objects ? wayBack("Undo", undo.deed) : undefined;
      toast(said.join(". "), action && { action });
    },
  );
}
