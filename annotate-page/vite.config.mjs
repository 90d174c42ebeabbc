// The bundle that the Python package carries: same sources, same bytes, so that CI can compare.
import { defineConfig } from "vite";
import { licences } from "./licences.mjs";

export default defineConfig({
  base: "./",
  plugins: [licences("LICENSES.txt")],
  build: {
    outDir: "../rsisrefiner_jax/annotate/page",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
