// The server's endpoints, one line each.
import { blob, json, send, url } from "./request";
import type {
  Annotation,
  Box,
  ClassInput,
  Edit,
  ExportJob,
  ExportOptions,
  Forecast,
  ImportPreview,
  ImportProgress,
  ImportReport,
  Id,
  Listing,
  ObjectClass,
  Outcome,
  Picture,
  PointInfo,
  Project,
  Recipe,
  Repeated,
  Session,
  Shape,
  Stretch,
} from "../types";

export const api = {
  project: () => json<Project>("GET", "project"),
  putClasses: (classes: ClassInput[]) => json<ObjectClass[]>("PUT", "project/classes", classes),

  useNetwork: (name: string) => json<Project>("PUT", "project/network", { name }),
  forecast: async (remaining: number): Promise<Forecast> =>
    (await send("GET", url("project/forecast", { remaining: String(remaining) }))).json(),

  roots: async (under: string): Promise<Listing> =>
    (await send("GET", url("roots", under ? { under } : {}))).json(),
  openImage: (path: string) => json<{ id: Id; name: string }>("POST", "images", { path }),
  uploadImage: (file: File) => json<{ id: Id; name: string }>("POST", "images", form(file)),
  image: (id: Id) => json<Picture>("GET", `images/${id}`),
  acceptFile: (id: Id) => json<Picture>("POST", `images/${id}/accept`),
  putRecipe: (id: Id, recipe: Recipe) => json<Picture>("PUT", `images/${id}/recipe`, recipe),
  stretch: (id: Id) => json<Stretch>("GET", `images/${id}/stretch`),
  point: async (id: Id, x: number, y: number): Promise<PointInfo> =>
    (await send("GET", url(`images/${id}/point`, { x: String(x), y: String(y) }))).json(),

  objects: (image: Id) => json<Annotation[]>("GET", `images/${image}/objects/flat`),
  deletedObjects: async (image: Id): Promise<Annotation[]> =>
    (await send("GET", url(`images/${image}/objects/flat`, { deleted: "true" }))).json(),
  patchObject: (
    id: Id,
    change: { class_id?: Id | null; attributes?: Record<string, unknown>; geometry?: Shape },
  ) => json<Annotation>("PATCH", `objects/${id}`, change),
  deleteObject: (id: Id) => json<{ ok: true }>("DELETE", `objects/${id}`),
  restoreObject: (id: Id) => json<Annotation>("POST", `objects/${id}/restore`),

  history: (image: Id) =>
    json<{ undo: Edit | null; redo: Edit | null }>("GET", `images/${image}/history`),
  moveInHistory: (image: Id, kind: "undo" | "redo", which: { key: string; edit: number | null }) =>
    json<Outcome>("POST", `images/${image}/${kind}`, which),

  session: (id: Id) => json<Session>("GET", `sessions/${id}`),
  sessions: async (image: Id): Promise<Session[]> =>
    (await send("GET", url("sessions", { image_id: String(image) }))).json(),
  startSession: (start: { image_id: Id; object_id?: Id; box?: Box; key: string }) =>
    json<Session>("POST", "sessions", start),
  click: (id: Id, click: { x: number; y: number; positive: boolean; key: string }) =>
    json<Session>("POST", `sessions/${id}/clicks`, click),
  undo: (id: Id, key: string) => json<Session>("POST", `sessions/${id}/undo`, { key }),
  redo: (id: Id, key: string) => json<Session>("POST", `sessions/${id}/redo`, { key }),
  finish: (id: Id, result: { class_id?: Id; overwrite: boolean }) =>
    json<Annotation>("POST", `sessions/${id}/finish`, result),
  cancel: (id: Id) => json<{ edit: number | null }>("DELETE", `sessions/${id}`),
  probability: (id: Id) => blob(url(`sessions/${id}/probability.png`)),

  previewImport: (image: Id, file: File, key: string) =>
    json<ImportPreview>("POST", `images/${image}/import/preview`, form(file, { key })),
  importFile: (image: Id, file: File, repeated: Repeated, key: string) =>
    json<ImportReport>("POST", `images/${image}/import`, form(file, { repeated, key })),
  importState: (key: string) => json<ImportProgress>("GET", `imports/${key}`),
  cancelImport: (key: string) => json<{ ok: true }>("DELETE", `imports/${key}`),
  startExport: (image: Id, options: ExportOptions) =>
    json<ExportJob>("POST", `images/${image}/exports`, options),
  exportState: (id: string) => json<ExportJob>("GET", `exports/${id}`),
  removeExport: (id: string) => json<{ ok: true }>("DELETE", `exports/${id}`),
  exportedFile: (id: string) => send("GET", url(`exports/${id}/file`)),
};

function form(file: File, fields: Record<string, string> = {}): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", file);
  return data;
}
