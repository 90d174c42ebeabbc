// Gathers the licence notices of every package that ends up in the bundle.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const INSIDE = /^(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/;

/** The folder of the npm package that a module belongs to, or null for the page's own sources. */
function packageOf(module) {
  return INSIDE.exec(module.replace(/^\0/, "").replace(/\?.*$/, ""))?.[1] ?? null;
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name}: carries no licence file; say by hand what it asks for`);
  const text = readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim();
  return { name, block: `${name} ${version} (${license})\n\n${text}\n` };
}

/** Vite plugin: writes `fileName` beside the bundle. */
export function licences(fileName) {
  const folders = new Set();
  return {
    name: "licences",
    moduleParsed({ id }) {
      const folder = packageOf(id);
      if (folder) folders.add(folder);
    },
    generateBundle(_options, bundle) {
      // Only what was kept: a module that tree shaking emptied needs no notice. Style sheets leave
      // no module in a chunk, so their packages stay by `moduleParsed`.
      const kept = new Set();
      for (const chunk of Object.values(bundle)) {
        for (const [id, module] of Object.entries(chunk.modules ?? {})) {
          const folder = packageOf(id);
          if (folder && (module.renderedLength > 0 || id.includes(".css"))) kept.add(folder);
        }
      }
      const notices = [...folders]
        .filter((folder) => kept.has(folder))
        .map(notice)
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      const rule = `\n${"-".repeat(78)}\n\n`;
      const source =
        "This page bundles the following works, each under its own licence.\n" +
        rule +
        notices.map(({ block }) => block).join(rule);
      this.emitFile({ type: "asset", fileName, source });
    },
  };
}
