// The line below the map: where the cursor is, what lies there, what the server is doing.
import { api } from "../net/api";
import { state } from "../state";
import { h } from "../ui/dom";
import { lonlat, value, zoom } from "../ui/format";
import { openNetworks } from "./networks";

const INTERVAL = 120; // ms between questions to the server

/** Map coordinates of a pixel position: the page knows the transform. */
function coordinates(x: number, y: number): [number, number] | null {
  const transform = state.now.image?.transform;
  if (!transform) return null;
  const [a, b, c, d, e, f] = transform;
  return [a * x + b * y + c, d * x + e * y + f];
}

/** Asks about the newest position only, one question at a time. */
function watchPoint(): void {
  let asking = false;
  const ask = async () => {
    const { pointer, image, reachable } = state.now;
    if (asking || !pointer || !image || !reachable) return;
    const { x, y } = pointer;
    if (x < 0 || y < 0 || x >= image.width || y >= image.height) {
      state.set({ pointInfo: null });
      return;
    }
    asking = true;
    const pointInfo = await api.point(image.id, x, y).catch(() => null);
    if (state.now.image === image) state.set({ pointInfo });
    setTimeout(() => {
      asking = false;
      if (state.now.pointer !== pointer) void ask();
    }, INTERVAL);
  };
  state.on(["pointer"], () => void ask());
}

export function statusBar(): HTMLElement {
  const part = (testid: string, label: string) =>
    h("span", { "data-testid": testid, title: label, "aria-label": label });
  const pixel = part("pixel", "Pixel");
  const place = part("coordinates", "Coordinates");
  const degrees = part("lonlat", "Latitude and longitude");
  const values = part("values", "Band values");
  const scale = part("zoom", "Zoom: screen to image");
  const model = h("button", {
    type: "button",
    class: "link",
    title: "Network: which one answers clicks, and what is left to do",
    "data-testid": "model",
    on: { click: openNetworks },
  });
  const saved = part("saved", "State of the project");

  state.on(["pointer", "image"], () => {
    const { pointer, image } = state.now;
    const at = pointer && image ? pointer : null;
    pixel.dataset.x = at ? at.x.toFixed(3) : "";
    pixel.dataset.y = at ? at.y.toFixed(3) : "";
    pixel.textContent = at ? `${Math.floor(at.x)}, ${Math.floor(at.y)} px` : "";
    const on = at && coordinates(at.x, at.y);
    const digits = on && Math.abs(on[0]) <= 360 && Math.abs(on[1]) <= 180 ? 6 : 2;
    place.textContent = on
      ? `${on[0].toFixed(digits)}, ${on[1].toFixed(digits)} ${image?.crs ?? ""}`
      : "";
  });
  state.on(["pointInfo", "pointer"], () => {
    const { pointInfo, pointer } = state.now;
    const info = pointer ? pointInfo : null;
    degrees.textContent = info?.lonlat ? lonlat(info.lonlat) : "";
    values.textContent = info?.values ? info.values.map(value).join("  ") : "";
  });
  state.on(["resolution"], () => {
    scale.textContent = zoom(state.now.resolution);
  });
  state.on(["project"], () => {
    const { name, ready } = state.now.project?.model ?? { name: "", ready: true };
    model.textContent = ready ? name : `${name} (loading)`;
  });
  state.on(["waiting", "changing", "reachable"], () => {
    const { waiting, changing, reachable } = state.now;
    const busy = waiting + changing > 0;
    saved.dataset.state = !reachable ? "lost" : busy ? "busy" : "saved";
    saved.textContent = !reachable ? "No server" : busy ? "Working" : "Saved";
  });
  watchPoint();
  return h(
    "footer",
    { class: "status" },
    pixel,
    place,
    degrees,
    values,
    h("span", { class: "spring" }),
    model,
    scale,
    saved,
  );
}
