// Replies of the server, shortened.
import type { Annotation, Picture, Project, Session } from "../src/types";

export const project = (id = "p1"): Project => ({
  id,
  name: "scene",
  images: [{ id: 1, name: "scene.tif" }],
  classes: [
    { id: 1, name: "roof", colour: "#ff0000", shortcut: "" },
    { id: 2, name: "tank", colour: "#00ff00", shortcut: "" },
  ],
  model: { name: "tiny", image_size: null, ready: true, error: null },
  networks: [],
  version: "0",
});

export const picture = { id: 1, width: 100, height: 80 } as Picture;

export const annotation = (id: number, more: Partial<Annotation> = {}): Annotation => ({
  id,
  class_id: null,
  attributes: {},
  area_px: 100,
  area_m2: null,
  clicks: 0,
  bbox: [0, 0, 10, 10],
  geometry: {
    type: "Polygon",
    coordinates: [
      [
        [0, 0],
        [10, 0],
        [10, 10],
        [0, 0],
      ],
    ],
  },
  ...more,
});

export const session = (id: number, clicks = 0): Session => ({
  id,
  image_id: 1,
  object_id: null,
  clicks: Array.from({ length: clicks }, (_, i) => ({ x: i, y: i, positive: true })),
  can_undo: clicks > 0,
  can_redo: false,
  geometry: null,
  area_px: 0,
  area_m2: null,
  window: null,
  seconds: 0.5,
  outdated: false,
  also_refining: [],
});
