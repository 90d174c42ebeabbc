// What the server sends. Coordinates are pixels (x to the right, y down) unless said otherwise.

export type Id = number | string;
/** GeoJSON; rings are closed, the first of a polygon is its border, the others are holes. */
export type Shape =
  | { type: "Polygon"; coordinates: number[][][] }
  | { type: "MultiPolygon"; coordinates: number[][][][] };
export type Box = [number, number, number, number]; // x0, y0, x1, y1

export interface ObjectClass {
  id: Id;
  name: string;
  colour: string;
  shortcut: string | null; // one key; empty: none
}

/** A network that may answer clicks. */
export interface Network {
  name: string;
  note: string; // what is known of it, in a line
  own: boolean; // it lies in the project's folder
  in_use: boolean;
}

export interface Interval {
  mean: number;
  low: number;
  high: number;
}

/** What is left, from what the finished objects took. */
export interface Forecast {
  finished: number;
  clicks_each: number;
  seconds_each: number;
  remaining: number;
  clicks: Interval;
  hours: Interval;
}

export interface Project {
  id: string; // of this project alone
  name: string;
  images: { id: Id; name: string }[];
  classes: ObjectClass[];
  model: { name: string; image_size: number | null; ready: boolean; error: string | null };
  networks: Network[]; // the project's own first, the newest of them before
  version: string;
}

export interface Recipe {
  bands: number[]; // counted from 1; three, one for grey, or none: the file chooses
  percentiles: [number, number];
  stretch_8bit: boolean | null;
}

export interface Picture {
  id: Id;
  name: string;
  width: number;
  height: number;
  bands: string[];
  dtype: string;
  crs: string | null;
  transform: [number, number, number, number, number, number] | null;
  nodata: number | string | null;
  recipe: Recipe;
  bands_shown: number[];
  recipe_hash: string; // changes when the tiles do
  tile_size: number;
  levels: number;
  pixel_area_m2: number | null;
  changed: string | null; // how the file differs from the one that was annotated
  broken: string | null; // what of the file cannot be read
  unplaced: string | null; // why it has no georeference although it says where it lies
  placed_by: string | null; // how that was found where the file has none
}

export interface PointInfo {
  x: number;
  y: number;
  crs: string | null;
  ground: [number, number] | null;
  lonlat: [number, number] | null;
  values: (number | null)[] | null;
}

export interface Annotation {
  id: Id;
  class_id: Id | null;
  attributes: Record<string, unknown>;
  area_px: number;
  area_m2: number | null;
  clicks: number;
  bbox: Box;
  geometry: Shape;
}

export interface Click {
  x: number;
  y: number;
  positive: boolean;
}

/** One object being drawn. */
export interface Session {
  id: Id;
  image_id: Id;
  object_id: Id | null;
  clicks: Click[];
  can_undo: boolean;
  can_redo: boolean;
  geometry: Shape | null;
  area_px: number;
  area_m2: number | null;
  window: [number, number, number, number] | null; // x, y, width, height
  seconds: number | null;
  outdated: boolean; // its object was changed or deleted after this began
  also_refining: Id[]; // other open sessions of its object
}

/** Something done to the objects of an image. */
export interface Edit {
  edit: number;
  label: string;
}

/** What was undone or done again, and what it is about, as it is now. */
export interface Outcome extends Edit {
  changed: Annotation[];
  removed: Id[];
  session: Session | null; // brought back
}

export interface Listing {
  folders: string[];
  files: string[];
}

export interface ExportOptions {
  format: string;
  simplify: number; // pixels
  rectangles: boolean;
}

/** A file being written; `total` steps are not known before it begins (0). */
export interface ExportJob {
  id: string;
  state: "running" | "done" | "failed" | "cancelled";
  done: number;
  total: number;
  seconds_left: number | null;
  error: string | null;
  name: string | null;
  size: number | null; // bytes
}

export interface ImportReport {
  objects: number;
  replaced: number; // of them
  skipped: number;
  notes: string[];
}

/** What an import would bring. */
export interface ImportPreview {
  objects: number;
  skipped: number;
  box: Box | null; // around all of them
  repeated: number; // of them lie on an object that is there
  identical: number; // of these have exactly its pixels
  doubts: string[]; // why the file may belong to another image
  notes: string[];
}

/** What becomes of objects that lie on one that is there. */
export type Repeated = "skip" | "replace" | "add";
