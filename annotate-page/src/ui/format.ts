// Numbers for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** An area in m2 (km2 when large), or in pixels where there is no ground. */
export function area(item: { area_px: number; area_m2: number | null }): string {
  if (item.area_m2 === null) return `${whole.format(item.area_px)} px`;
  if (item.area_m2 >= 1e6) return `${short.format(item.area_m2 / 1e6)} km²`;
  const number = item.area_m2 < 100 ? short.format(item.area_m2) : whole.format(item.area_m2);
  return `${number} m²`;
}

/** To three digits. */
export function rounded(number: number): string {
  return short.format(number);
}

export function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}

/** How long something will take, roughly. */
export function timeLeft(value: number): string {
  if (value < 90) return `about ${Math.max(Math.round(value), 1)} s left`;
  return `about ${Math.round(value / 60)} min left`;
}

export function count(n: number, thing: string): string {
  return `${whole.format(n)} ${thing}${n === 1 ? "" : "s"}`;
}

export function lonlat([lon, lat]: [number, number]): string {
  const part = (value: number, plus: string, minus: string) =>
    `${Math.abs(value).toFixed(6)}° ${value < 0 ? minus : plus}`;
  return `${part(lat, "N", "S")} ${part(lon, "E", "W")}`;
}

/** A band value: whole numbers as they are, others to 5 digits. */
export function value(number: number | null): string {
  if (number === null) return "–";
  return Number.isInteger(number) ? String(number) : String(Number(number.toPrecision(5)));
}

/** Pixels per screen pixel as a zoom, "1:1", "2:1" (enlarged) or "1:16". */
export function zoom(resolution: number): string {
  const round = (n: number) => String(Number(n.toPrecision(2)));
  return resolution >= 1 ? `1:${round(resolution)}` : `${round(1 / resolution)}:1`;
}
