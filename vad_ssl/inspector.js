// The viewer of vad_ssl.inspector, in two homes: a widget in a notebook (anywidget) and a page of its own.
// Python asks the detector; masks and losses are those of equations.js, coloured and read out pixel by pixel.

const ATTENTION = ["variance", "variance, clip alone", "gradient", "both", "none"];

async function unpackStep(step) {
  const out = { name: step.name, activations: step.activations, masks: new Map() };
  for (const key of ["loc1", "loc2", "valid"]) out[key] = await unpack(step[key]);
  if (step.routing) out.routing = { shape: step.routing.shape, values: await unpack(step.routing) };
  return out;
}

async function framePixels(uri, w, h) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const context = make("canvas", { width: w, height: h }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, w, h).data;
}

async function load(data) { // everything as typed arrays
  const steps = await Promise.all(data.steps.map(unpackStep));
  const frames = await Promise.all(data.frames.map((uri) => framePixels(uri, data.w, data.h)));
  const palettes = {};
  for (const [name, text] of Object.entries(data.palettes)) palettes[name] = await inflate(text);
  return { ...data, steps, frames, palettes, truth: await unpack(data.truth) };
}

// ---- maps -----------------------------------------------------------------------------------------------------------

function remember(step, key, compute) { // a mask is computed once
  if (!step.masks.has(key)) step.masks.set(key, compute());
  return step.masks.get(key);
}

const knownTwo = (step) => step.loc2.map((v, p) => v * step.valid[p] + step.loc1[p] * (1 - step.valid[p]));

function scaled(raw, normalise) { // one min-max for the whole clip, as in training; keeps what formulas need
  const found = minMax(raw);
  return normalise ? { ...found, top: 1 } : { ...found, values: raw, top: found.low + found.span };
}

function computeMaps(data, s) { // name -> {values, top}
  const step = data.steps[s.step], { loc1, loc2, valid } = step, maps = {}, n = s.window;
  if (data.truth) maps["truth"] = { values: data.truth, top: 1 };
  maps[data.stand_in ? `${data.stand_in}, as prediction` : "prediction"] = { values: loc1, top: 1 };
  const clip = scaled(remember(step, `clip ${n}`, () => clipVariance(loc1, data.t, n)), s.normalise);
  const gradient = scaled(remember(step, "gradient", () => gradientMask(loc1, data.t)), s.normalise);
  if (!loc2) return { ...maps, "variance mask, clip alone": clip, "gradient mask": gradient };
  const ring = scaled(remember(step, `ring ${n}`, () => ringVariance(loc1, remember(step, "known", () => knownTwo(step)), data.t, n)), s.normalise);
  const squared = times(valid, squaredError(loc1, loc2)), values = { clip: clip.values, ring: ring.values, gradient: gradient.values };
  const wrap = (values) => ({ values, top: range(values)[1] || 1 });
  return { ...maps, "view 2, carried back": { values: loc2, top: 1 }, "squared difference": wrap(squared),
    "variance mask, ring": ring, "variance mask, clip alone": clip, "gradient mask": gradient,
    "enters the loss": wrap(times(placeWeights(values, s), squared)) };
}

// ---- formulas with their numbers ------------------------------------------------------------------------------------

function rescaling(map, at, s) {
  return s.normalise ? `; scaled over the clip: (${show(map.raw[at])} − ${show(map.low)}) / ${show(map.span)} = <b>${show(map.values[at])}</b>` : "";
}

function windowText(places, one, two, t) { // places on the ring -> "3: 0.10, 4: 0.25"
  const value = (p) => (p < t ? one[p] : two[2 * t - 2 - p]), label = (p) => (p < t ? `${p + 1}` : `${2 * t - 1 - p}′`);
  const values = places.map(value), [v] = variance(values.map((x) => [x]));
  return [v, `${places.map((p) => `${label(p)}: ${show(value(p))}`).join(", ")}; μ = ${show(mean(values))}, variance ${show(v)}`];
}

function ringFormula(map, one, two, k, at, s, t) {
  const n = Math.max(2 * t - 2, 1), text = (k) => windowText(ringPlaces(k, t, s.window), one, two, t);
  const [a, here] = text(k), [b, there] = text((n - k) % n);
  return `Eq. 4 on the ring, frames (′ = view 2) ${here}; across: ${there}; mean <b>${show((a + b) / 2)}</b>${rescaling(map, at, s)}`;
}

function clipFormula(map, one, k, at, s, t) {
  const [v, text] = windowText(clipPlaces(k, t, s.window), one, one, t);
  return `Eq. 4 on the clip alone, frames ${text} = <b>${show(v)}</b>${rescaling(map, at, s)}`;
}

function gradientFormula(map, one, k, at, s, t) {
  const terms = coefficients(t)[k].map((c, p) => [c, p]).filter(([c]) => c !== 0);
  const text = terms.map(([c, p]) => `${c < 0 ? "−" : "+"} ${Math.abs(c)}·${show(one[p])}`).join(" ").replace(/^\+ /, "");
  const value = Math.abs(terms.reduce((sum, [c, p]) => sum + c * one[p], 0));
  return `Eq. 6, frames ${terms.map(([, p]) => p + 1).join(", ")}: |${text || 0}| = <b>${show(value)}</b>${rescaling(map, at, s)}`;
}

function lossFormula(maps, step, at, s) {
  const gap = `(${show(step.loc1[at])} − ${show(step.loc2[at])})²`, seen = step.valid[at] > 0.5 ? "" : "0 (view 2 does not see this pixel) · ";
  const value = `<b>${show(maps["enters the loss"].values[at])}</b>`;
  const mask = (name) => show(maps[name].values[at]), w = show(s.ramp), gradient = mask("gradient mask");
  const around = `(${w}·${mask(`variance mask, ${s.attention.includes("alone") ? "clip alone" : "ring"}`)} + 1 − ${w})`;
  if (s.attention === "none") return `Eq. 2: ${seen}${gap} = ${value}`;
  if (s.attention === "gradient") return `Eq. 5: ${seen}${gradient} · ${gap} = ${value}`;
  if (s.attention === "both") return `Eqs. 3 and 5, half of each: ${seen}(${around} + ${gradient}) / 2 · ${gap} = ${value}`;
  return `Eq. 3, (w·M + 1 − w)·(loc₁ − loc₂)²: ${seen}${around} · ${gap} = ${value}`;
}

function formulas(data, maps, s) {
  const { t, h, w } = data, step = data.steps[s.step], k = s.frame, place = s.y * w + s.x, at = k * h * w + place;
  const column = (values) => Array.from({ length: t }, (_, p) => values[p * h * w + place]);
  const one = column(step.loc1), lines = [];
  if (step.loc2) {
    const two = column(remember(step, "known", () => knownTwo(step)));
    lines.push(ringFormula(maps["variance mask, ring"], one, two, k, at, s, t));
  }
  lines.push(clipFormula(maps["variance mask, clip alone"], one, k, at, s, t));
  lines.push(gradientFormula(maps["gradient mask"], one, k, at, s, t));
  if (step.loc2) lines.push(lossFormula(maps, step, at, s));
  return lines;
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function paint(canvas, map, frame, at, s, palette) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height), out = picture.data;
  const a = s.opacity, n = canvas.width * canvas.height;
  for (let k = 0; k < n; k++) {
    const c = 3 * Math.round(255 * Math.min(Math.max(map.values[at + k] / map.top, 0), 1));
    for (let j = 0; j < 3; j++) out[4 * k + j] = a * palette[c + j] + (1 - a) * frame[4 * k + j];
    out[4 * k + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function sparkline(values, top, k) {
  const x = (p) => (values.length > 1 ? (100 * p) / (values.length - 1) : 50), y = (v) => 20 - 18 * Math.min(v / top, 1);
  const points = values.map((v, p) => `${x(p)},${y(v)}`).join(" ");
  return `<svg viewBox="0 0 100 22" preserveAspectRatio="none"><polyline points="${points}" fill="none" stroke="currentColor"
    stroke-width="1.3" vector-effect="non-scaling-stroke"/><line x1="${x(k)}" x2="${x(k)}" y1="0" y2="22"
    stroke="var(--hot)" stroke-width="2" vector-effect="non-scaling-stroke"/></svg>`;
}

function activationTable(step, classes) {
  const best = Math.max(...step.activations);
  const rows = step.activations.map((a, j) => [a, j]);
  if (rows.length > 24) rows.sort(([a], [b]) => b - a).splice(10); // hundreds: the ten best
  return `<table>${rows.map(([a, j]) => `<tr><td>${a === best ? `<b>${safe(classes[j])}</b>` : safe(classes[j])}</td><td style="width:60%">
    <div class="track"><div style="width:${100 * Math.min(a, 1)}%"></div></div></td><td class="n">${show(a)}</td></tr>`).join("")}</table>`;
}

function paintRouting(canvas, routing, s, data, palette) { // rows: children, columns: classes
  const [i, j, gh, gw] = routing.shape, gy = Math.floor((s.y * gh) / data.h), gx = Math.floor((s.x * gw) / data.w);
  Object.assign(canvas, { width: j, height: i });
  canvas.style.height = `${Math.min(18 * i, 200)}px`;
  const context = canvas.getContext("2d");
  for (let k = 0; k < i * j; k++) {
    const c = 3 * Math.round(255 * routing.values[(k * gh + gy) * gw + gx]);
    context.fillStyle = `rgb(${palette[c]},${palette[c + 1]},${palette[c + 2]})`;
    context.fillRect(k % j, Math.floor(k / j), 1, 1);
  }
}

const appear = (node, there) => { node.style.display = there ? "" : "none"; };

// ---- controls -------------------------------------------------------------------------------------------------------

function controls(data, s) {
  const c = {
    play: make("button", { textContent: "▶ play", type: "button" }), frame: slider(data.t - 1, 1, s.frame, "frame"),
    frameText: make("span", { className: "soft" }), step: slider(data.steps.length - 1, 1, s.step, "checkpoint"),
    stepText: make("span", { className: "soft" }), ramp: slider(1, 0.01, s.ramp, "ramp weight"), rampText: make("span", { className: "soft" }),
    window: choice(data.windows, s.window, "frames in the window"), normalise: make("input", { type: "checkbox", checked: s.normalise, "aria-label": "normalise" }),
    attention: choice(ATTENTION, s.attention, "attention"), opacity: slider(1, 0.05, s.opacity, "opacity"),
    palette: choice(Object.keys(data.palettes), s.palette, "colours"),
  };
  const bars = [make("div", { className: "bar" }, c.play, labelled("frame", c.frame, "wide"), c.frameText)];
  if (data.steps.length > 1) bars.push(make("div", { className: "bar" }, labelled("checkpoint", c.step, "wide"), c.stepText));
  c.loss = [labelled("attention", c.attention), labelled("ramp w", c.ramp), c.rampText];
  bars.push(make("div", { className: "bar" }, ...c.loss, labelled("frames", c.window), labelled("normalise", c.normalise),
    labelled("opacity", c.opacity), labelled("colours", c.palette)));
  return [c, bars];
}

function panel(name, data) {
  const canvas = make("canvas", { width: data.w, height: data.h, role: "img", "aria-label": name });
  const mark = make("div", { className: "mark" }), screen = make("div", { className: "screen" }, canvas, mark);
  const legend = make("canvas", { width: 64, height: 1 }), low = make("span", { textContent: "0" }), high = make("span");
  const key = make("div", { className: "legend" }, ...(name === "frame" ? [] : [low, legend, high]));
  const node = make("figure", {}, make("figcaption", { textContent: name }), screen, key);
  return { name, canvas, mark, screen, legend, high, node };
}

// ---- the viewer: v holds data, settings s, maps and the nodes on the page; what a step lacks is hidden ----------------

function lookAround(data) { // class activations and routing beside the formulas
  const scores = make("div"), routing = make("canvas");
  const about = `rows: capsules of the encoder, columns: ${data.classes.join(", ")}; each row sums to 1`;
  const named = make("div", {}, make("h4", { textContent: "class activations" }), scores);
  const routed = make("div", {}, make("h4", { textContent: "routing assignments at this place" }),
    make("div", { className: "routing" }, routing), make("div", { className: "soft", textContent: about }));
  return { scores, routing, named, routed, side: make("div", {}, named, routed) };
}

const fullest = (data) => Math.max(data.steps.findIndex((step) => step.loc2), 0); // a step with every map there is

function build(data, s) {
  const [c, bars] = controls(data, s), maps = computeMaps(data, s), { side, ...around } = lookAround(data);
  const names = Object.keys(computeMaps(data, { ...s, step: fullest(data) }));
  const panels = ["frame", ...names].map((name) => panel(name, data));
  const curves = make("div"), lines = make("div"), where = make("h4");
  const numbers = make("div", {}, make("h4", { textContent: "with its numbers" }), lines);
  const help = "← → step, space plays, hover reads a pixel, a click holds it, Esc lets go";
  const root = make("div", { className: "vad", tabIndex: 0, "data-lm-suppress-shortcuts": "true" }, ...bars,
    make("div", { className: "grid" }, ...panels.map((p) => p.node)),
    make("div", { className: "beside" }, make("div", {}, where, curves), numbers, side),
    make("div", { className: "soft", textContent: help }));
  return { data, s, maps, c, panels, curves, lines, where, ...around, root, timer: null };
}

function curveTable({ data: { t, h, w }, s, maps }) {
  return `<table>${Object.entries(maps).map(([name, map]) => {
    const column = Array.from({ length: t }, (_, k) => map.values[k * h * w + s.y * w + s.x]);
    return `<tr><td>${name}</td><td style="width:45%">${sparkline(column, map.top, s.frame)}</td>
      <td class="n">${show(column[s.frame])}</td></tr>`;
  }).join("")}</table>`;
}

function readOut(v) { // everything about the chosen pixel
  const { data, s } = v, step = data.steps[s.step];
  for (const p of v.panels)
    Object.assign(p.mark.style, { left: `${(100 * (s.x + 0.5)) / data.w}%`, top: `${(100 * (s.y + 0.5)) / data.h}%` });
  v.where.textContent = `pixel (${s.x}, ${s.y}) over time${s.pinned ? ", held" : ""}`;
  v.curves.innerHTML = curveTable(v);
  v.lines.innerHTML = formulas(data, v.maps, s).map((line) => `<div class="formula">${line}</div>`).join("");
  appear(v.named, step.activations);
  if (step.activations) v.scores.innerHTML = activationTable(step, data.classes) + `<div class="soft">${safe(step.doubt ?? "")}</div>`;
  appear(v.routed, step.routing);
  if (step.routing) paintRouting(v.routing, step.routing, s, data, data.palettes[s.palette]);
}

function drawPanel(v, p) {
  const { data, s } = v, frame = data.frames[s.frame], palette = data.palettes[s.palette];
  if (p.name === "frame") return p.canvas.getContext("2d").putImageData(new ImageData(frame, data.w, data.h), 0, 0);
  const map = v.maps[p.name];
  appear(p.node, map);
  if (!map) return;
  paint(p.canvas, map, frame, s.frame * data.h * data.w, s, palette);
  paintLegend(p.legend, palette);
  p.high.textContent = show(map.top);
}

function draw(v) {
  const { data, s, c, root } = v, began = performance.now();
  for (const p of v.panels) drawPanel(v, p);
  for (const node of c.loss) appear(node, data.steps[s.step].loc2);
  c.frame.value = s.frame;
  c.frameText.textContent = `${s.frame + 1} of ${data.t}${data.numbers ? ` (frame ${data.numbers[s.frame]} of the video)` : ""}`;
  c.frame.setAttribute("aria-valuetext", c.frameText.textContent);
  c.stepText.textContent = data.steps[s.step].name;
  c.step.setAttribute("aria-valuetext", data.steps[s.step].name);
  c.rampText.textContent = show(Number(s.ramp), 2);
  readOut(v);
  root.dataset.frame = s.frame;
  root.dataset.milliseconds = (performance.now() - began).toFixed(1);
}

function pick(v, event) {
  const box = event.currentTarget.getBoundingClientRect();
  const place = (at, low, size, n) => Math.min(Math.max(Math.floor(((at - low) / size) * n), 0), n - 1);
  v.s.x = place(event.clientX, box.left, box.width, v.data.w);
  v.s.y = place(event.clientY, box.top, box.height, v.data.h);
  readOut(v);
}

function connectSettings(v) {
  const kinds = { step: Number, ramp: Number, window: Number, opacity: Number, attention: String, palette: String };
  const change = (name, value) => {
    v.s[name] = value;
    if (!["opacity", "palette"].includes(name)) v.maps = computeMaps(v.data, v.s);
    draw(v);
  };
  for (const [name, kind] of Object.entries(kinds)) v.c[name].addEventListener("input", () => change(name, kind(v.c[name].value)));
  v.c.normalise.addEventListener("input", () => change("normalise", v.c.normalise.checked));
}

function connectKeys(v, move, play) {
  v.root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    const jump = { ArrowLeft: v.s.frame - 1, ArrowRight: v.s.frame + 1, Home: 0, End: v.data.t - 1 }[event.key];
    const free = event.target === v.root || event.target === v.c.frame;
    if (jump !== undefined && free) move(jump);
    else if (event.key === " " && free) play();
    else if (event.key === "Escape") { v.s.pinned = false; readOut(v); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

async function view(el, raw, start, changed) { // the entry; `changed` hears of a new frame or pixel
  const data = await load(raw), middle = { x: data.w >> 1, y: data.h >> 1 };
  const v = build(data, { step: data.steps.length - 1, ...middle, window: 5, normalise: true, attention: "variance", ramp: 1,
    opacity: 1, palette: "magma", frame: 0, pinned: false, ...start });
  const move = (frame) => {
    v.s.frame = ((frame % data.t) + data.t) % data.t;
    draw(v);
    changed("frame", v.s.frame);
  };
  const play = () => {
    v.timer = v.timer ? clearInterval(v.timer) : setInterval(() => move(v.s.frame + 1), 300);
    v.c.play.textContent = v.timer ? "⏸ pause" : "▶ play";
  };
  for (const p of v.panels) {
    p.screen.addEventListener("pointermove", (event) => v.s.pinned || pick(v, event));
    p.screen.addEventListener("click", (event) => { v.s.pinned = true; pick(v, event); changed("pixel", [v.s.x, v.s.y]); });
  }
  v.c.frame.addEventListener("input", () => move(Number(v.c.frame.value)));
  v.c.play.addEventListener("click", play);
  connectSettings(v);
  connectKeys(v, move, play);
  el.replaceChildren(keepKeys(v.root));
  draw(v);
  return Object.assign(v, { move: (frame) => frame !== v.s.frame && move(frame), stop: () => clearInterval(v.timer) });
}

async function render({ model, el }) { // what anywidget calls
  const start = { ...model.get("start"), frame: model.get("frame") ?? 0 };
  const viewer = await view(el, model.get("data"), start, (name, value) => { model.set(name, value); model.save_changes(); });
  model.on("change:frame", () => viewer.move(model.get("frame")));
  viewer.move(model.get("frame") ?? 0); // set while the pictures were decoded
  return viewer.stop;
}

export default { render };
