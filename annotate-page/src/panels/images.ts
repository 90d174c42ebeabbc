// Which image is open; others of the project, and further files under the folders given at start.
import { addImage, openImage } from "../actions/images";
import { api } from "../net/api";
import { state } from "../state";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { complain } from "../ui/toast";

export function imageSwitcher(): HTMLElement {
  const name = h("span", { class: "name" });
  const size = h("span", { class: "size" });
  state.on(["image"], () => {
    const { image } = state.now;
    name.textContent = image?.name ?? "Open an image";
    size.textContent = image ? `${image.width} × ${image.height}` : "";
    document.title = image ? `${image.name} – Annotator` : "Annotator";
  });
  return h(
    "button",
    {
      type: "button",
      class: "text-button switcher",
      "aria-label": "Images",
      "data-testid": "images",
      on: { click: openImages },
    },
    name,
    size,
    icon("down"),
  );
}

export function openImages(): void {
  const { project, image } = state.now;
  const present = h("div", { class: "entries", "data-testid": "project-images" });
  const folder = h("div", { class: "entries", "data-testid": "folder" });
  const place = h("code");
  const problem = h("p", { class: "problem", role: "alert" });

  const entry = (symbol: "file" | "folder" | "up", name: string, run: () => void, on = false) =>
    h(
      "button",
      { type: "button", class: "entry", "aria-current": on ? "true" : null, on: { click: run } },
      icon(symbol),
      name,
    );
  const leave = (work: Promise<void>) => {
    problem.textContent = "Opening …";
    work.then(close, (error: unknown) => {
      problem.textContent = error instanceof Error ? error.message : String(error);
    });
  };
  const last = (path: string) => path.replace(/\/+$/, "").split("/").at(-1) ?? path;

  async function list(under: string): Promise<void> {
    const { folders, files } = await api.roots(under);
    place.textContent = under || "all folders";
    const up = under.includes("/") ? under.slice(0, under.lastIndexOf("/")) : "";
    folder.replaceChildren(
      ...(under ? [entry("up", "..", () => void list(up).catch(complain))] : []),
      ...folders.map((path) => entry("folder", last(path), () => void list(path).catch(complain))),
      ...files.map((path) => entry("file", last(path), () => leave(addImage(api.openImage(path))))),
    );
    if (!folder.childElementCount) folder.append(h("p", { class: "empty" }, "No rasters here"));
  }

  present.append(
    ...(project?.images ?? []).map((one) =>
      entry("file", one.name, () => leave(openImage(one.id)), one.id === image?.id),
    ),
  );
  const picker = h("input", {
    type: "file",
    "aria-label": "Upload an image",
    "data-testid": "upload-image",
    on: {
      change: () => {
        const file = picker.files?.[0];
        if (file) leave(addImage(api.uploadImage(file)));
      },
    },
  });
  const { close } = openDialog(
    "Images",
    "image-dialog",
    h("h3", {}, "In this project"),
    present,
    h("h3", {}, "Open another: ", place),
    folder,
    h("label", { class: "upload" }, "Or upload one ", picker),
    problem,
  );
  list("").catch((error: unknown) => {
    problem.textContent = error instanceof Error ? error.message : String(error);
  });
}
