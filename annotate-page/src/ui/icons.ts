// Line icons on a 16 x 16 grid, drawn for this page.

const PATHS = {
  click: "M8 1.5v3.2M8 11.3v3.2M1.5 8h3.2M11.3 8h3.2M8 8h.01",
  select: "M3.5 2.2l9 6-4 .9 2.3 4.2-1.7.9-2.2-4.2-2.9 2.9z",
  box: "M2.5 3.5h11v9h-11zM2.5 3.5h.01M13.5 3.5h.01M2.5 12.5h.01M13.5 12.5h.01",
  vertices: "M3.5 12.5l2-8 7-1 .5 7zM3.5 12.5h.01M5.5 4.5h.01M12.5 3.5h.01M13 10.5h.01",
  undo: "M5.5 3L2.5 6l3 3M2.5 6h7a3.5 3.5 0 010 7H6",
  redo: "M10.5 3l3 3-3 3M13.5 6h-7a3.5 3.5 0 000 7H10",
  check: "M2.8 8.4l3.4 3.4 7-7.6",
  cross: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  trash: "M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.6 9h6.8l.6-9M6.7 7v4M9.3 7v4",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 110 3.6 1.8 1.8 0 010-3.6z",
  outline: "M4 3l8-.5 1.5 7-4 4-6-2z",
  heat: "M2.5 13.5v-3M6 13.5v-6M9.5 13.5v-9M13 13.5v-11",
  open: "M1.8 12.8V3.5h4.4l1.4 1.7h5.6v2M1.8 12.8l2-5.6h10.6l-2 5.6z",
  bands: "M8 2l6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
  upload: "M8 10.5v-8M4.8 5.5L8 2.3l3.2 3.2M2.5 10v3.5h11V10",
  download: "M8 2.5v8M4.8 7.4L8 10.6l3.2-3.2M2.5 10.5v3h11v-3",
  help: "M8 14.3A6.3 6.3 0 108 1.7a6.3 6.3 0 000 12.6zM6.2 6.3a1.9 1.9 0 113 1.6c-.8.5-1.2.8-1.2 1.6M8 11.6h.01",
  theme: "M8 1.8v12.4a6.2 6.2 0 000-12.4zM8 14.2A6.2 6.2 0 018 1.8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  edit: "M2.8 13.2l.7-3L11 2.7l2.3 2.3-7.5 7.5zM9.5 4.2l2.3 2.3",
  refine:
    "M3 13l6-6M8 4.5l.8-2 .8 2 2 .8-2 .8-.8 2-.8-2-2-.8zM12 10l.5-1.2.5 1.2 1.2.5-1.2.5-.5 1.2-.5-1.2-1.2-.5z",
  fit: "M2.5 6v-3.5h3.5M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  up: "M8 13V3M4 7l4-4 4 4",
  folder: "M1.8 12.8V3.5h4.4l1.4 1.7h6.6v7.6z",
  file: "M4 1.8h5l3 3v9.4H4zM9 1.8v3h3",
  tag: "M2.3 7.8V2.5h5.3l6 6-5.2 5.3zM5 5h.01",
  down: "M4 6l4 4 4-4",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
