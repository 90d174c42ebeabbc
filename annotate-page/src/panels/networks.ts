// Which network answers clicks, and how much is left to do.
import { useNetwork } from "../actions/networks";
import { api } from "../net/api";
import { state } from "../state";
import type { Forecast, Interval, Network } from "../types";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { count, rounded } from "../ui/format";
import { complain, toast } from "../ui/toast";

/** Tells once of each network that the project gets while the page is open. */
export function watchNetworks(): void {
  let known: Set<string> | null = null;
  state.on(["project"], () => {
    const own = state.now.project?.networks.filter((one) => one.own);
    if (!own) return;
    for (const { name, note, in_use } of own) {
      if (!known || known.has(name) || in_use) continue;
      const run = () => void useNetwork(name).catch(complain);
      toast(`New network ${name}. ${note}`, { action: { label: "Use it", run } });
    }
    known = new Set(own.map((one) => one.name));
  });
}

export function openNetworks(): void {
  const problem = h("p", { class: "problem", role: "alert" });
  const entries = (state.now.project?.networks ?? []).map((one) => entry(one, choose));
  async function choose(name: string): Promise<void> {
    problem.textContent = `Loading ${name} …`;
    for (const one of entries) one.disabled = true;
    try {
      await useNetwork(name);
      close();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
      for (const one of entries) one.disabled = false;
    }
  }
  const { close } = openDialog(
    "Network",
    "network-dialog",
    h("p", {}, "Objects and clicks stay. The next click is answered by the one that you choose."),
    h("div", { class: "entries" }, ...entries),
    problem,
    h("h3", {}, "What is left"),
    ...forecastRow(),
  );
}

function entry(one: Network, choose: (name: string) => Promise<void>): HTMLButtonElement {
  return h(
    "button",
    {
      type: "button",
      class: "entry",
      title: one.note,
      "aria-current": one.in_use ? "true" : null,
      "data-testid": `network-${one.name}`,
      on: { click: () => void choose(one.name) },
    },
    h("span", { class: "name" }, one.name),
    h("span", { class: "note" }, one.note),
  );
}

function forecastRow(): HTMLElement[] {
  const said = h("p", { "data-testid": "forecast", role: "status" });
  const left = h("input", {
    type: "number",
    min: 1,
    step: 1,
    placeholder: "how many",
    "aria-label": "Objects left to draw",
    "data-testid": "objects-left",
    on: { change: () => void ask() },
  });
  async function ask(): Promise<void> {
    const number = Math.floor(Number(left.value));
    if (!(number >= 1)) return;
    said.textContent = await api.forecast(number).then(sentence, (error: Error) => error.message);
  }
  return [h("label", { class: "field" }, "Objects left", left), said];
}

function sentence(one: Forecast): string {
  const each = `${rounded(one.clicks_each)} clicks and ${rounded(one.seconds_each)} s each so far`;
  const total = (what: Interval) =>
    `${rounded(what.mean)} (${rounded(what.low)} to ${rounded(what.high)})`;
  return (
    `${count(one.finished, "object")} took ${each}: ${total(one.clicks)} clicks and ` +
    `${total(one.hours)} hours more, 95 % interval`
  );
}
