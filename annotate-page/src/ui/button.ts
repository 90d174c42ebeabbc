// Buttons. After a press by mouse the keyboard goes back to the map, so that Enter means "finish".
import { h } from "./dom";
import { icon, type IconName } from "./icons";

export interface ButtonOptions {
  label: string;
  testid: string;
  run: (event: MouseEvent) => void;
  symbol?: IconName;
  shortcut?: string;
  text?: string; // shown beside the icon; none: the icon alone
  kind?: string;
}

export function button(options: ButtonOptions): HTMLButtonElement {
  const { label, testid, run, symbol, shortcut, text, kind } = options;
  return h(
    "button",
    {
      type: "button",
      class: kind ?? (text ? "text-button" : "icon-button"),
      "aria-label": label,
      title: shortcut ? `${label} (${shortcut})` : label,
      "aria-keyshortcuts": shortcut?.replace("Ctrl", "Control").replace("Esc", "Escape"),
      "data-testid": testid,
      on: {
        click: (event) => {
          if (event.detail > 0) (event.currentTarget as HTMLElement).blur();
          run(event);
        },
      },
    },
    ...(symbol ? [icon(symbol)] : []),
    ...(text ? [h("span", {}, text)] : []),
  );
}

/** Shows whether a button is on. */
export function press(element: HTMLElement, on: boolean): void {
  element.setAttribute("aria-pressed", String(on));
}
