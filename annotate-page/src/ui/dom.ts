// Building elements without a framework.

type Value = string | number | boolean | null | undefined;
type Handlers = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
export interface Props {
  on?: Handlers;
  [attribute: string]: Value | Handlers;
}

/** An element; attributes as in HTML (true = present, false or null = absent). */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value as Handlers)) {
        element.addEventListener(event, handler as EventListener);
      }
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

export function swatch(colour: string | null): HTMLElement {
  const square = h("span", { class: "swatch", "aria-hidden": "true" });
  if (colour) square.style.setProperty("--swatch", colour);
  else square.classList.add("none");
  return square;
}

/** Whether keys pressed now belong to a field or a dialog rather than to the map. */
export function typing(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]")) return true;
  const element = target as HTMLElement | null;
  return !!element?.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
}
