// What the model believes, as colours: blue is "no", yellow is "yes", clear at the very low end.
import ImageLayer from "ol/layer/Image";
import ImageSource from "ol/source/Image";
import { api } from "../net/api";
import { state } from "../state";
import type { Session } from "../types";
import { boxToExtent } from "./geometry";
import { projection } from "./view";

export const probabilityLayer = new ImageLayer<ImageSource>({ className: "probability" });

const STOPS: [number, number, number, number][] = [
  [26, 32, 120, 0], // p = 0
  [52, 84, 190, 130],
  [36, 146, 168, 150],
  [94, 201, 120, 165],
  [253, 231, 60, 185], // p = 1
];

const ramp = Array.from({ length: 256 }, (_, grey) => {
  const at = (grey / 255) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  const part = at - low;
  return [0, 1, 2, 3].map(
    (i) => (STOPS[low]?.[i] ?? 0) * (1 - part) + (STOPS[low + 1]?.[i] ?? 0) * part,
  );
});

async function coloured(grey: Blob): Promise<HTMLCanvasElement> {
  const bitmap = await createImageBitmap(grey);
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no pictures");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    pixels.data.set(ramp[pixels.data[i] ?? 0] ?? [], i);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

async function show(session: Session): Promise<void> {
  if (!session.window) return probabilityLayer.setSource(null);
  const [x, y, width, height] = session.window;
  const image = await coloured(await api.probability(session.id));
  if (state.now.session !== session || !state.now.probability) return; // overtaken
  const extent = boxToExtent([x, y, x + width, y + height]);
  const loader = () => Promise.resolve({ image, extent, resolution: 1, pixelRatio: 1 });
  probabilityLayer.setSource(new ImageSource({ loader, projection, interpolate: false }));
}

export function watchProbability(): void {
  const clear = () => probabilityLayer.setSource(null);
  state.on(["session", "probability"], () => {
    const { session, probability } = state.now;
    if (session && probability) show(session).catch(clear);
    else clear();
  });
}
