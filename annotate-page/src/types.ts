// What the server sends, by the page's names. schema.ts is made from the server's own description
// of it (npm run types), so what a field means is said there.
// Coordinates are pixels (x to the right, y down) unless said otherwise.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Id = number;
/** A list of many comes with flat outlines, a single object with GeoJSON. */
export type Annotation = Omit<Schemas["ObjectOut"], "geometry"> & { geometry: Shape | FlatShape };
/** GeoJSON; rings are closed, the first of a polygon is its border, the others are holes. */
export type Shape = Schemas["ObjectOut"]["geometry"];
export type FlatShape = Schemas["FlatObjectOut"]["geometry"];
export type Box = Annotation["bbox"];
export type ObjectClass = Schemas["ClassOut"];
/** A class as it is sent: without an id it is new. */
export type ClassInput = Schemas["ClassIn"];
export type Project = Schemas["ProjectOut"];
/** A network that may answer clicks. */
export type Network = Schemas["NetworkOut"];
/** What is left, from what the finished objects took. */
export type Forecast = Schemas["ForecastOut"];
export type Interval = Schemas["IntervalOut"];
export type Recipe = Schemas["RecipeIn"];
export type Picture = Schemas["ImageOut"];
/** What becomes black and white in each band, and what is left out of that. */
export type Stretch = Schemas["StretchOut"];
export type PointInfo = Schemas["PointOut"];
export type Click = Schemas["ClickOut"];
/** One object being drawn. */
export type Session = Schemas["SessionOut"];
/** Something done to the objects of an image. */
export type Edit = Schemas["Edit"];
/** What was undone or done again, and what it is about, as it is now. */
export type Outcome = Schemas["EditOut"];
export type Listing = Schemas["Listing"];
export type ExportOptions = Schemas["ExportIn"];
/** A file being written. */
export type ExportJob = Schemas["ExportOut"];
export type ImportReport = Schemas["ImportOut"];
/** What an import would bring. */
export type ImportPreview = Schemas["ImportPreviewOut"];
/** How far an import is. */
export type ImportProgress = Schemas["ImportProgressOut"];

/** What becomes of objects that lie on one that is there. */
export type Repeated = "skip" | "replace" | "add";
