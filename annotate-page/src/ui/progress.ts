// How far long work on the server is, in a dialog.
import { button } from "./button";
import { h } from "./dom";
import { timeLeft } from "./format";

/** `total` steps are not known before the work begins (0). */
export interface Progress {
  done: number;
  total: number;
  seconds_left: number | null;
}

/** "40 %, about 3 s left"; nothing while that is not known. */
export function progressText({ done, total, seconds_left }: Progress): string {
  if (!total) return "";
  const left = seconds_left === null ? "" : `, ${timeLeft(seconds_left)}`;
  return `${Math.floor((100 * done) / total)} %${left}`;
}

/** A bar, words and a button that ends the work; hidden while there is none. */
export function progressRow(label: string, name: string) {
  let wanted = new AbortController();
  const bar = h("progress", { "aria-label": label });
  const words = h("span", { class: "hint", "data-testid": `${name}-progress` });
  const cancel = () => wanted.abort();
  const stop = button({ label: "Cancel", text: "Cancel", testid: `${name}-cancel`, run: cancel });
  const row = h("div", { class: "running", hidden: true }, bar, words, stop);
  return {
    row,
    cancel,
    begin: () => {
      wanted = new AbortController();
      bar.removeAttribute("value"); // not known yet
      words.textContent = "";
      row.hidden = false;
      return wanted.signal;
    },
    show: (progress: Progress) => {
      if (!progress.total) return;
      bar.value = progress.done / progress.total;
      words.textContent = progressText(progress);
    },
    end: () => (row.hidden = true),
  };
}
