// A bar of round length, in metres where the image knows them.
import { state } from "../state";
import { h } from "../ui/dom";

const LONGEST = 120; // screen pixels

function label(length: number, metres: boolean): string {
  if (!metres) return `${length} px`;
  if (length >= 1000) return `${length / 1000} km`;
  return length >= 1 ? `${length} m` : `${Number((length * 100).toPrecision(3))} cm`;
}

export function scaleBar(): HTMLElement {
  const text = h("span");
  const bar = h("div", { class: "scale-bar", "aria-hidden": "true" }, text);
  state.on(["resolution", "image"], () => {
    const { resolution, image } = state.now;
    bar.hidden = !image;
    const side = image?.pixel_area_m2 ? Math.sqrt(image.pixel_area_m2) : null;
    const unit = resolution * (side ?? 1); // per screen pixel
    const power = 10 ** Math.floor(Math.log10(LONGEST * unit));
    const length = ([5, 2, 1].find((n) => n * power <= LONGEST * unit) ?? 1) * power;
    bar.style.width = `${length / unit}px`;
    text.textContent = label(Number(length.toPrecision(1)), side !== null);
  });
  return bar;
}
