// Two pictures side by side: the image, which shows what it is compared with while it is pressed, and what changed.
// Comparing, threshold, blend and brush happen here, in the browser: they follow the hand whatever the kernel is doing.

const GREY = [0.299, 0.587, 0.114];

function element(tag, name, parent) {
  const made = document.createElement(tag);
  made.className = name;
  parent.append(made);
  return made;
}

function pane(parent, name, side) {
  const figure = element("figure", `hx-pane ${name}`, parent);
  const caption = element("figcaption", "hx-caption", figure);
  const canvas = element("canvas", "hx-canvas", figure);
  canvas.width = canvas.height = side;
  canvas.setAttribute("role", "img");
  return { figure, caption, canvas, pen: canvas.getContext("2d", { willReadFrequently: true }) };
}

function bytes(model, name) {
  const value = model.get(name);
  return value && value.byteLength ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : null;
}

// Values of one byte each, enlarged smoothly to the size of the pictures.
function enlarged(values, side) {
  const small = Math.round(Math.sqrt(values.length));
  const source = new OffscreenCanvas(small, small);
  const pixels = new ImageData(small, small);
  values.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  source.getContext("2d").putImageData(pixels, 0, 0);
  const pen = new OffscreenCanvas(side, side).getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, 0, 0, side, side);
  return pen.getImageData(0, 0, side, side).data;
}

// Is the page dark? Decided by what lies behind the widget.
function darkness(node) {
  for (let here = node; here; here = here.parentElement) {
    const parts = getComputedStyle(here).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (parts && (parts.length < 4 || parts[3] > 0.5)) {
      return GREY[0] * parts[0] + GREY[1] * parts[1] + GREY[2] * parts[2] < 128;
    }
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function render({ model, el }) {
  const side = model.get("side");
  const root = element("div", "hx-stage", el);
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "The image and what changed in it. Press question mark for keys.");
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay away while this is in use
  const now = pane(root, "hx-now", side);
  const change = pane(root, "hx-change", side);
  const flip = element("button", "hx-flip", now.figure);
  flip.type = "button";
  flip.textContent = "Hold to compare";
  const keys = element("div", "hx-keys", root);
  keys.hidden = true;
  keys.textContent = model.get("key_help");

  const pictures = { now: null, before: null };
  let flipped = false, mask = null, painting = false, order = 0;

  async function load(name) {
    const content = bytes(model, name), mine = (order += 1);
    const found = content ? await createImageBitmap(new Blob([content])) : null;
    if (pictures[`${name}Order`] > mine) return;
    pictures[name] = found;
    pictures[`${name}Order`] = mine;
    draw();
  }

  function draw() {
    const shown = flipped ? pictures.before : pictures.now;
    now.figure.classList.toggle("hx-flipped", flipped);
    now.caption.textContent = model.get(flipped ? "title_before" : "title_now");
    now.canvas.setAttribute("aria-label", model.get(flipped ? "alt_before" : "alt_now"));
    if (shown) now.pen.drawImage(shown, 0, 0, side, side);
    if (mask && !flipped) drawMask();
    drawChange();
  }

  function drawMask() {
    const pixels = now.pen.getImageData(0, 0, side, side), inside = enlarged(mask, side), data = pixels.data;
    for (let i = 0; i < data.length; i += 4) {
      const edge = inside[i] > 90 && inside[i] < 165;
      for (let c = 0; c < 3; c += 1) {
        if (edge) data[i + c] = [255, 255, 0][c];
        else if (inside[i] < 128) data[i + c] = 0.45 * data[i + c] + 60;
      }
    }
    now.pen.putImageData(pixels, 0, 0);
  }

  function drawChange() {
    const values = bytes(model, "change"), table = bytes(model, "table");
    change.caption.textContent = model.get("title_change");
    change.canvas.setAttribute("aria-label", model.get("alt_change"));
    if (!values || !table || !pictures.now) return;
    change.pen.drawImage(pictures.now, 0, 0, side, side);
    const pixels = change.pen.getImageData(0, 0, side, side), data = pixels.data, size = enlarged(values, side);
    const blend = model.get("blend"), least = Math.max(1, (127 * model.get("threshold")) / model.get("limit"));
    for (let i = 0; i < data.length; i += 4) {
      const grey = (data[i] + data[i + 1] + data[i + 2]) / 3, step = size[i] - 128;
      const part = Math.abs(step) >= least ? blend : 0, at = 3 * Math.max(0, size[i] - 1);
      for (let c = 0; c < 3; c += 1) data[i + c] = part * table[at + c] + (1 - part) * grey;
    }
    change.pen.putImageData(pixels, 0, 0);
  }

  function hold(on) {
    if (flipped !== on) {
      flipped = on;
      draw();
    }
  }

  function brush(event) {
    const small = model.get("resolution"), box = now.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * small, y = ((event.clientY - box.top) / box.height) * small;
    const radius = model.get("brush_size") / 2, value = event.shiftKey || event.button === 2 ? 0 : 255;
    mask = mask || new Uint8Array(small * small);
    for (let row = Math.max(0, Math.floor(y - radius)); row < Math.min(small, y + radius); row += 1) {
      for (let column = Math.max(0, Math.floor(x - radius)); column < Math.min(small, x + radius); column += 1) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius) mask[row * small + column] = value;
      }
    }
    draw();
  }

  function release() {
    hold(false);
    if (painting) {
      painting = false;
      model.set("mask", new DataView(mask.slice().buffer));
      model.save_changes();
    }
  }

  now.canvas.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    event.preventDefault();
    now.canvas.setPointerCapture(event.pointerId);
    painting = model.get("brush");
    if (painting) brush(event);
    else hold(true);
  });
  now.canvas.addEventListener("pointermove", (event) => painting && brush(event));
  for (const name of ["pointerup", "pointercancel"]) now.canvas.addEventListener(name, release);
  now.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  flip.addEventListener("pointerdown", () => hold(true));
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) flip.addEventListener(name, release);

  root.addEventListener("keydown", (event) => {
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    const wishes = { arrowleft: "back", arrowright: "forth", arrowup: "previous", arrowdown: "next", enter: "ask" };
    let wish = { b: "brush", escape: "stop", p: "pin" }[key] ?? wishes[key];
    if (control) wish = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
    else if (/^[0-9]$/.test(key)) wish = key;
    if (key === " ") hold(true);
    else if (key === "?") keys.hidden = !keys.hidden;
    else if (wish && !(event.target === flip && key === "enter")) model.send({ wish });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("keyup", (event) => event.key === " " && hold(false));
  root.addEventListener("blur", () => hold(false));

  function theme() {
    const dark = darkness(el.parentElement ?? el);
    if (dark !== model.get("dark")) {
      model.set("dark", dark);
      model.save_changes();
    }
  }
  const watch = new MutationObserver(theme);
  watch.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name"] });
  requestAnimationFrame(theme);

  const loads = { now: () => load("now"), before: () => load("before") };
  const takeMask = () => {
    mask = bytes(model, "mask")?.slice() ?? null;
    draw();
  };
  const takeBrush = () => root.classList.toggle("hx-brushing", model.get("brush"));
  const redrawn = ["change", "limit", "threshold", "blend", "title_now", "title_before", "title_change", "alt_now"];
  const heard = { "change:now": loads.now, "change:before": loads.before, "change:mask": takeMask };
  heard["change:brush"] = takeBrush;
  for (const name of redrawn) heard[`change:${name}`] = draw;
  for (const [name, action] of Object.entries(heard)) model.on(name, action);
  loads.now();
  loads.before();
  takeMask();
  takeBrush();
  return () => {
    watch.disconnect();
    for (const [name, action] of Object.entries(heard)) model.off(name, action);
  };
}

export default { render };
