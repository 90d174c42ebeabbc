// Which bands are red, green and blue, and how values become brightness.
import { setRecipe } from "../actions/images";
import { state } from "../state";
import { openForm } from "../ui/dialog";
import { h } from "../ui/dom";

const EIGHT_BIT: [boolean | null, string][] = [
  [null, "stretched where they are dark"],
  [false, "as they are"],
  [true, "stretched"],
];

/** Values that stand for no data: null = what looks like it, [] = none. Throws what is no number. */
export function fillOf(text: string): number[] | null {
  const words = text.split(/[\s,;]+/).filter((word) => word);
  if (!words.length) return null;
  if (words.length === 1 && words[0] === "none") return [];
  const values = words.map(Number);
  if (!values.every(Number.isFinite)) throw new Error(`No data: numbers, or "none", not ${text}`);
  return values;
}

const fillText = (fill: number[] | null) => (fill?.length === 0 ? "none" : (fill ?? []).join(" "));

export function openRecipe(): void {
  const { image } = state.now;
  if (!image) return;
  const { bands, percentiles, stretch_8bit: stretched } = image.recipe;

  const choice = (label: string, testid: string, chosen: number | undefined, extra: string) =>
    h(
      "select",
      { "aria-label": label, "data-testid": testid },
      h("option", { value: 0 }, extra),
      ...image.bands.map((name, i) =>
        h(
          "option",
          { value: i + 1, selected: chosen === i + 1 },
          name ? `${i + 1} · ${name}` : `Band ${i + 1}`,
        ),
      ),
    );
  const automatic = bands.length ? "automatic" : `automatic (${image.bands_shown.join(", ")})`;
  const red = choice("Red, or grey alone", "band-red", bands[0], automatic);
  const green = choice("Green", "band-green", bands[1], "–");
  const blue = choice("Blue", "band-blue", bands[2], "–");
  const percentile = (label: string, value: number) =>
    h("input", {
      type: "number",
      min: 0,
      max: 100,
      step: "any",
      value,
      "aria-label": label,
      required: true,
    });
  const low = percentile("Black at percentile", percentiles[0]);
  const high = percentile("White at percentile", percentiles[1]);
  const eight = h(
    "select",
    { "aria-label": "8-bit values", "data-testid": "stretch-8bit" },
    ...EIGHT_BIT.map(([value, name]) =>
      h("option", { value: String(value), selected: value === stretched }, name),
    ),
  );
  const fill = h("input", {
    type: "text",
    value: fillText(image.recipe.fill ?? null),
    placeholder: "what looks like it",
    "aria-label": "Values that stand for no data, or none",
    "data-testid": "stretch-fill",
  });
  const line = (name: string, ...fields: Node[]) =>
    h("div", { class: "field" }, h("span", { class: "field-name" }, name), ...fields);

  openForm(
    "Bands and stretch",
    "recipe-dialog",
    [
      line("Red", red),
      line("Green", green),
      line("Blue", blue),
      h(
        "p",
        { class: "hint" },
        "One band alone is shown as grey; the model sees the same picture.",
      ),
      line("Percentiles", low, h("span", {}, "to"), high),
      line("No data", fill),
      ...(image.dtype === "uint8" ? [line("8-bit values", eight)] : []),
    ],
    "Apply",
    () => {
      const chosen = [red, green, blue].map((one) => Number(one.value));
      const given = chosen.filter((one) => one > 0);
      const complete = given.length === 3 || (given.length === 1 && chosen[0] === given[0]);
      if (given.length && !complete) throw new Error("Choose three bands, or red alone for grey");
      return setRecipe({
        bands: given,
        percentiles: [Number(low.value), Number(high.value)],
        stretch_8bit: JSON.parse(eight.value) as boolean | null,
        fill: fillOf(fill.value),
      });
    },
  );
}
