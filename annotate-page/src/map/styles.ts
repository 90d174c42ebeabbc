// How objects, the one being drawn, and clicks look. Lines have a dark rim: legible on any ground.
import { Circle, Fill, RegularShape, Stroke, Style, Text } from "ol/style";

export const LIVE = "#19e3ff";
export const NO_CLASS = "#d7dde5";

/** #rrggbb with an alpha. */
export function translucent(colour: string, alpha: number): string {
  const part = (at: number) => Number.parseInt(colour.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${alpha})`;
}

const RIM = "rgba(8, 12, 18, 0.65)";

export function shapeStyles(colour: string, fill: number, width: number): Style[] {
  const inner = fill > 0 ? new Fill({ color: translucent(colour, fill) }) : undefined;
  if (width <= 1) {
    return [
      new Style({ stroke: new Stroke({ color: colour, width }), ...(inner && { fill: inner }) }),
    ];
  }
  return [
    new Style({
      stroke: new Stroke({ color: RIM, width: width + 2 }),
      ...(inner && { fill: inner }),
    }),
    new Style({ stroke: new Stroke({ color: colour, width }) }),
  ];
}

export function selectedStyles(colour: string, fill: number): Style[] {
  return [
    new Style({
      stroke: new Stroke({ color: "#ffffff", width: 5.5 }),
      ...(fill > 0 && { fill: new Fill({ color: translucent(colour, fill) }) }),
    }),
    new Style({ stroke: new Stroke({ color: RIM, width: 3.5 }) }),
    new Style({ stroke: new Stroke({ color: colour, width: 2.5 }) }),
  ];
}

function clickStyle(positive: boolean, confirmed: boolean): Style {
  const colour = positive ? "#1fbf5c" : "#f0413a";
  return new Style({
    image: new Circle({
      radius: 6.5,
      fill: new Fill({ color: confirmed ? colour : "rgba(8, 12, 18, 0.55)" }),
      stroke: new Stroke({ color: confirmed ? "#ffffff" : colour, width: 1.75 }),
    }),
    text: new Text({
      text: positive ? "+" : "−",
      font: "bold 12px system-ui, sans-serif",
      fill: new Fill({ color: "#ffffff" }),
      offsetY: 0.5,
    }),
    zIndex: 10,
  });
}

export const CLICK = {
  positive: { confirmed: clickStyle(true, true), pending: clickStyle(true, false) },
  negative: { confirmed: clickStyle(false, true), pending: clickStyle(false, false) },
};

export const VERTEX = new RegularShape({
  points: 4,
  radius: 5,
  angle: Math.PI / 4,
  fill: new Fill({ color: "#ffffff" }),
  stroke: new Stroke({ color: "#10151c", width: 1.25 }),
});
