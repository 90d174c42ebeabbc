// The page's part of `ClickWidget`. Positions are pixels of the picture from its upper left edge.

const ADDS = "#2fbf4f";
const TAKES_AWAY = "#e5383b";
const FAR = 4; // screen pixels: what moves further is a drag, no click

function render({ model, el }) {
  const [height, width] = model.get("size");
  const id = Math.random().toString(36).slice(2); // of this view among those of one widget
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  const status = document.createElement("span");
  status.className = "status";
  const bar = document.createElement("div");
  bar.className = "bar";
  const root = document.createElement("div");
  root.className = "rsisrefiner-clicks";
  root.append(canvas, bar);
  el.append(root);

  let scale = 1; // screen pixels of one of the picture
  let [left, top] = [0, 0]; // what lies in the canvas's corner
  let part = null; // of the picture: { image, x, y, w, h }
  let mask = null; // the same of the object
  let waiting = 0; // requests that are not answered yet
  let timer = 0;

  const button = (name, title, act) => {
    const made = document.createElement("button");
    made.textContent = name;
    made.title = title;
    made.addEventListener("click", act);
    bar.append(made);
  };
  button("Undo", "take the last click back", () => ask({ kind: "undo" }));
  button("Clear", "forget the clicks", () => ask({ kind: "clear" }));
  button("+", "closer", () => zoom(2, canvas.clientWidth / 2, canvas.clientHeight / 2));
  button("\u2212", "further away", () => zoom(0.5, canvas.clientWidth / 2, canvas.clientHeight / 2));
  button("Fit", "the whole picture", fit);
  bar.append(status);

  function ask(message) {
    waiting += 1;
    model.send(message);
    tell();
  }

  function tell(trouble = "") {
    const { clicks, area } = model.get("shown");
    const count = `${clicks.length} click${clicks.length === 1 ? "" : "s"}, ${area} pixels`;
    const help = "left click adds, right click takes away; drag moves, wheel zooms";
    status.textContent = trouble || (waiting ? "computing \u2026" : clicks.length ? count : help);
    status.classList.toggle("trouble", Boolean(trouble));
    root.dataset.state = waiting ? "computing" : "ready";
  }

  function fit() {
    scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
    left = (width - canvas.clientWidth / scale) / 2;
    top = (height - canvas.clientHeight / scale) / 2;
    moved();
  }

  function zoom(factor, x, y) {
    const next = Math.min(Math.max(scale * factor, 1e-3), 40);
    left += x / scale - x / next;
    top += y / scale - y / next;
    scale = next;
    moved();
  }

  /** Draws what is there, and asks for the rest once the view rests. */
  function moved() {
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => {
      model.send({
        kind: "view",
        view: id,
        left,
        top,
        right: left + canvas.clientWidth / scale,
        bottom: top + canvas.clientHeight / scale,
        across: canvas.width,
      });
    }, 100);
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.scale(ratio, ratio);
    pen.imageSmoothingEnabled = scale < 1;
    const onScreen = (x, y) => [(x - left) * scale, (y - top) * scale];
    for (const item of [part, mask]) {
      if (item) pen.drawImage(item.image, ...onScreen(item.x, item.y), item.w * scale, item.h * scale);
    }
    for (const [y, x, positive] of model.get("shown").clicks) {
      pen.beginPath();
      pen.arc(...onScreen(x, y), 5, 0, 2 * Math.PI);
      pen.fillStyle = positive ? ADDS : TAKES_AWAY;
      pen.fill();
      pen.lineWidth = 1.5;
      pen.strokeStyle = "white";
      pen.stroke();
    }
    root.dataset.view = JSON.stringify({ left, top, scale });
  }

  async function decoded(png, { x, y, w, h }) {
    const image = await createImageBitmap(new Blob([png], { type: "image/png" }));
    return { image, x, y, w, h };
  }

  async function changed() {
    const shown = model.get("shown");
    const next = shown.area ? await decoded(shown.png, shown) : null;
    if (shown !== model.get("shown")) return; // overtaken while it was decoded
    mask = next;
    draw();
    tell();
  }

  async function heard(message, buffers) {
    if (message.kind === "answered") {
      waiting = Math.max(waiting - 1, 0);
      tell(message.trouble);
    } else if (message.kind === "view" && message.view === id) {
      part = await decoded(buffers[0], message);
      root.dataset.picture = "there";
      draw();
    }
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, y: event.offsetY, left, top, far: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    drag.far ||= Math.hypot(dx, dy) > FAR;
    if (!drag.far) return;
    left = drag.left - dx / scale;
    top = drag.top - dy / scale;
    moved();
  });
  canvas.addEventListener("pointerup", (event) => {
    const far = !drag || drag.far;
    drag = null;
    const [x, y] = [left + event.offsetX / scale, top + event.offsetY / scale];
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    if (far || !inside || event.button === 1) return;
    const plain = event.button === 0 && !event.shiftKey && !event.ctrlKey; // ctrl: macOS's right
    ask({ kind: "click", y, x, positive: plain });
  });
  canvas.addEventListener("pointercancel", () => (drag = null));
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation(); // the notebook has a menu of its own
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!canvas.matches(":focus")) return; // else the notebook could not be scrolled past it
      event.preventDefault();
      zoom(2 ** (-event.deltaY / 300), event.offsetX, event.offsetY);
    },
    { passive: false },
  );

  let fitted = false;
  const resized = new ResizeObserver(() => {
    if (!canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    if (fitted) moved();
    else fit();
    fitted = true;
  });
  resized.observe(canvas);
  model.on("change:shown", changed);
  model.on("msg:custom", heard);
  changed();

  return () => {
    clearTimeout(timer);
    resized.disconnect();
    model.off("change:shown", changed);
    model.off("msg:custom", heard);
  };
}

export default { render };
