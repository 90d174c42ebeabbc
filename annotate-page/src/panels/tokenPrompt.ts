// Asks for the token when the server refuses the one that the page has. Everything waits meanwhile.
import { giveToken } from "../net/token";
import { state } from "../state";
import { h } from "../ui/dom";

export function tokenPrompt(): HTMLElement {
  const text = h("span", { role: "alert" });
  const field = h("input", {
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "http://…/#token=…",
    "aria-label": "Token, or the address that the server printed",
    "data-testid": "token",
  });
  const submit = (event: Event) => {
    event.preventDefault();
    giveToken(field.value);
    field.value = "";
  };
  const form = h(
    "form",
    { class: "banner token", "data-testid": "token-prompt", hidden: true, on: { submit } },
    text,
    field,
    h("button", { type: "submit", class: "text-button" }, "Go on"),
  );
  state.on(["locked", "waiting"], () => {
    const { locked, waiting } = state.now;
    form.hidden = locked === null;
    const kept = waiting ? " Nothing is lost meanwhile." : "";
    text.textContent = `${locked ?? ""}${kept} Paste the address that the server printed:`;
  });
  return form;
}
