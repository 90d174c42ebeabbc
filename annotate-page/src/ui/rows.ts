// A long list. Only the rows in sight exist, so that thousands cost nothing.
import { h } from "./dom";

const ROW = 26; // pixels, as in the style sheet
const BEYOND = 4; // rows drawn beyond what is in sight

export interface Rows<T> {
  element: HTMLElement;
  body: HTMLElement;
  show: (list: readonly T[]) => void;
  draw: () => void;
  reveal: (index: number) => void;
}

/** `above`: what is shown before the rows. */
export function rows<T>(
  make: (item: T, index: number) => HTMLElement,
  ...above: HTMLElement[]
): Rows<T> {
  let list: readonly T[] = [];
  const body = h("div", { class: "rows", role: "rowgroup" });
  const element = h("div", { class: "scroller" }, ...above, body);

  function draw(): void {
    const first = Math.max(Math.floor(element.scrollTop / ROW) - BEYOND, 0);
    const last = first + Math.ceil(element.clientHeight / ROW) + 2 * BEYOND;
    body.replaceChildren(
      ...list.slice(first, last).map((item, i) => {
        const row = make(item, first + i);
        row.style.top = `${(first + i) * ROW}px`;
        return row;
      }),
    );
  }

  element.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(element);
  return {
    element,
    body,
    draw,
    show: (items) => {
      list = items;
      body.style.height = `${list.length * ROW}px`;
      draw();
    },
    reveal: (index) => {
      const top = index * ROW;
      if (top < element.scrollTop) element.scrollTop = top;
      const bottom = top + ROW - element.clientHeight;
      if (bottom > element.scrollTop) element.scrollTop = bottom;
    },
  };
}
