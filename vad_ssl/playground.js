// The loss playground: a drawn body, two views of it, and what Eqs. 2, 3 and 5 make of their difference.

const SIZE = 32, FRAMES = 8, FADES = 4, GAP = 1; // pixels, frames, the frame that flickers (from 0), pixels between frames
const LOSSES = ["Eq. 2", "Eq. 3", "Eq. 5"];

// ---- the scene -------------------------------------------------------------------------------------------------------

const covered = (p, low, high) => Math.min(Math.max(Math.min(p + 2, high) - Math.max(p - 1, low), 0), 3) / 3;

function body(x, y, size, sure) { // a square around (x, y), soft at its edges, as a map of probabilities
  const share = (middle) => Array.from({ length: SIZE }, (_, p) => covered(p, middle - size / 2, middle + size / 2));
  const across = share(x), down = share(y);
  return Float64Array.from({ length: SIZE * SIZE }, (_, p) => 0.02 + 0.96 * sure * across[p % SIZE] * down[Math.floor(p / SIZE)]);
}

function scene(s) { // both views, as maps of all frames
  const middle = (k) => SIZE / 2 + s.speed * (k - (FRAMES - 1) / 2), sure = (k) => (k === FADES ? 1 - s.flicker : 1);
  const one = inFrames(FRAMES, SIZE ** 2, (k) => body(middle(k), SIZE / 2, 12, s.both ? sure(k) : 1));
  const two = inFrames(FRAMES, SIZE ** 2, (k) => body(middle(k - s.late) + s.across, SIZE / 2 + s.down, s.size, sure(k)));
  return { one, two };
}

function pullOnBody(map, gradient, k) { // where a step down the slope would move the body: sum of slope times rise, in x and y
  const g = frameOf(gradient, FRAMES, k), m = frameOf(map, FRAMES, k), pull = [0, 0];
  const at = (x, y) => m[Math.min(Math.max(y, 0), SIZE - 1) * SIZE + Math.min(Math.max(x, 0), SIZE - 1)];
  for (let y = 0; y < SIZE; y++) for (let x = 0; x < SIZE; x++) {
    pull[0] += (g[y * SIZE + x] * (at(x + 1, y) - at(x - 1, y))) / 2;
    pull[1] += (g[y * SIZE + x] * (at(x, y + 1) - at(x, y - 1))) / 2;
  }
  return pull;
}

function judge(s) { // everything there is to see
  const { one, two } = scene(s), scale = (raw) => (s.normalise ? minMax(raw).values : raw), t = FRAMES;
  const masks = { ring: scale(ringVariance(one, two, t, s.window)), clip: scale(clipVariance(one, t, s.window)),
    gradient: scale(gradientMask(one, t)) };
  const weights = { "Eq. 2": placeWeights(masks, { attention: "none" }), "Eq. 5": placeWeights(masks, { attention: "gradient" }),
    "Eq. 3": placeWeights(masks, { attention: s.cyclic ? "variance" : "clip", ramp: s.ramp }) };
  const squared = squaredError(one, two), losses = {}, shares = {};
  for (const name of LOSSES) {
    const paid = times(weights[name], squared);
    losses[name] = mean(paid);
    shares[name] = Array.from({ length: t }, (_, k) => total(frameOf(paid, t, k)) / paid.length); // sum to the loss
  }
  const gradient = slope(one, two, weights[s.pulls]).map((v) => s.lam * v);
  const arrows = { one: [], two: [] };
  for (let k = 0; k < t; k++) {
    arrows.one.push(pullOnBody(one, gradient.map((v) => -v), k));
    arrows.two.push(pullOnBody(two, gradient, k));
  }
  return { one, two, squared, masks, weights, losses, shares, gradient, arrows };
}

// ---- drawing ---------------------------------------------------------------------------------------------------------

const WIDE = FRAMES * (SIZE + GAP) - GAP, left = (k) => k * (SIZE + GAP);

function paintRow(canvas, map, low, high, palette) {
  const context = canvas.getContext("2d"), picture = context.createImageData(WIDE, SIZE), out = picture.data;
  map.forEach((v, p) => {
    const k = Math.floor(p / SIZE ** 2), y = Math.floor((p % SIZE ** 2) / SIZE), at = 4 * (y * WIDE + left(k) + (p % SIZE));
    const c = 3 * Math.round(255 * Math.min(Math.max((v - low) / (high - low), 0), 1));
    for (let j = 0; j < 3; j++) out[at + j] = palette[c + j];
    out[at + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
}

function arrowsOf(pulls, middles, longest) { // one arrow a frame, its length in pixels of the frame
  return pulls.map(([x, y], k) => {
    const length = Math.hypot(x, y) * longest, shrink = Math.min(1, 15 / length);
    if (!(length > 0.6)) return "";
    const [a, b] = middles[k], dx = x * longest * shrink, dy = y * longest * shrink, turn = (Math.atan2(dy, dx) * 180) / Math.PI;
    return `<g transform="translate(${left(k) + a} ${b})"><line x2="${dx}" y2="${dy}"/>
      <path transform="translate(${dx} ${dy}) rotate(${turn})" d="M1 0 L-2.4 1.7 L-2.4 -1.7 Z"/></g>`;
  }).join("");
}

function middles(s, second) { // of the bodies, for their arrows
  return Array.from({ length: FRAMES }, (_, k) => {
    const x = SIZE / 2 + s.speed * ((second ? k - s.late : k) - (FRAMES - 1) / 2);
    return second ? [x + s.across, SIZE / 2 + s.down] : [x, SIZE / 2];
  });
}

function barsOf(shares) { // who pays in which frame: three bars a frame
  const top = Math.max(...LOSSES.flatMap((name) => shares[name])) || 1;
  return Array.from({ length: FRAMES }, (_, k) => LOSSES.map((name, j) => {
    const height = (22 * shares[name][k]) / top;
    return `<rect class="bar${j}" x="${left(k) + 3 + 9 * j}" y="${23 - height}" width="8" height="${height}"><title>${name}, frame ${k + 1}: ${show(shares[name][k])}</title></rect>`;
  }).join("")).join("") + `<line x1="0" x2="${WIDE}" y1="23" y2="23"/>`;
}

// ---- controls --------------------------------------------------------------------------------------------------------

const SLIDERS = { // name: [words, from, to, step, unit]
  speed: ["the body walks", 0, 2, 0.25, "px/frame"], across: ["view 2 to the right", -12, 12, 0.5, "px"],
  down: ["view 2 down", -12, 12, 0.5, "px"], late: ["view 2 late", 0, 4, 0.5, "frames"],
  flicker: ["frame 5 flickers", 0, 1, 0.05, ""], size: ["size in view 2", 0, 20, 0.5, "px"],
  window: ["variance window", 3, 7, 2, "frames"], epoch: ["epoch (sets w)", 0, 100, 1, "of 100"], ramp: ["w of Eq. 3", 0, 1, 0.01, ""],
  lam: ["λ of Eq. 9", 0, 0.5, 0.01, ""],
};
const TICKS = { both: "view 1 flickers, too", cyclic: "variance over the ring of both views", normalise: "masks scaled to 0 … 1" };

function row(name, words, marks = "") {
  const canvas = make("canvas", { width: WIDE, height: SIZE, role: "img", "aria-label": `${name}, eight frames: ${words}` });
  const over = make("div"), top = make("span");
  over.innerHTML = `<svg class="over" viewBox="0 0 ${WIDE} ${SIZE}" aria-hidden="true">${marks}</svg>`;
  const about = make("div", { className: "about" }, make("b", { textContent: name }), make("span", { className: "soft", textContent: words }), top);
  return { canvas, svg: over.firstChild, top, node: make("div", { className: "line" }, about, make("div", { className: "strip" }, canvas, over.firstChild)) };
}

function build(data, s) {
  const c = {}, field = (name) => {
    const [words, min, max, step] = SLIDERS[name], text = make("output", { className: "soft" });
    c[name] = Object.assign(slider(max, step, 0, words), { min });
    c[name].text = text;
    return make("label", { className: "field" }, make("span", { textContent: words }), c[name], text);
  };
  const tick = (name) => labelled("", (c[name] = make("input", { type: "checkbox", "aria-label": TICKS[name] })));
  const ticked = (name) => { const node = tick(name); node.append(TICKS[name]); return node; };
  const presets = data.presets.map(([name]) => make("button", { type: "button", textContent: name }));
  c.pulls = choice(LOSSES, s.pulls, "which loss pulls");
  const rows = {
    one: row("view 1", "arrow: where the loss pulls it"), two: row("view 2", "drag it; arrow: where the loss pulls it"),
    squared: row("squared error", "Eq. 2 counts it as it is"), ring: row("variance mask", "Eq. 4; the weight of Eq. 3"),
    gradient: row("gradient mask", "Eq. 6, from view 1; the weight of Eq. 5"),
    slope: row("pull on view 2", "λ times the slope: red wants more, blue less"),
  };
  const bars = make("div"), table = make("table"), said = make("p", { className: "said", "aria-live": "polite" });
  bars.innerHTML = `<svg class="bars" viewBox="0 0 ${WIDE} 24" role="img" aria-label="what each frame pays in the three losses"></svg>`;
  const who = make("div", { className: "line" }, make("div", { className: "about" }, make("b", { textContent: "who pays" }),
    make("span", { className: "soft", textContent: "frame by frame, in " }), ...LOSSES.map((name, j) => make("span", { className: `key${j}`, textContent: `${name} ` }))),
    make("div", { className: "strip" }, bars.firstChild));
  const scenery = make("fieldset", {}, make("legend", { textContent: "what the detector says" }),
    ...["speed", "across", "down", "late", "flicker", "size"].map(field), ticked("both"));
  const losses = make("fieldset", {}, make("legend", { textContent: "what the loss makes of it" }),
    ...["window", "epoch", "ramp", "lam"].map(field), ticked("cyclic"), ticked("normalise"), labelled("arrows and pull:", c.pulls));
  const numbers = make("div", { className: "frames soft" }, ...Array.from({ length: FRAMES }, (_, k) => make("span", { textContent: k + 1 })));
  const head = make("div", { className: "line" }, make("div", { className: "about soft", textContent: "frame" }), numbers);
  const root = make("div", { className: "vad playground", "data-lm-suppress-shortcuts": "true" },
    make("div", { className: "bar presets", role: "group", "aria-label": "scenes" }, ...presets), make("div", { className: "controls" }, scenery, losses),
    make("div", { className: "rows" }, head, rows.one.node, rows.two.node, rows.squared.node, rows.ring.node, rows.gradient.node, who, rows.slope.node), table, said);
  return { data, s, c, presets, rows, bars: who.querySelector("svg"), table, said, root };
}

function lossTable({ losses, shares }, s) {
  const top = Math.max(...Object.values(losses)) || 1, base = losses["Eq. 2"];
  const percent = (a, b) => (b > 0 ? `${Math.round((100 * a) / b)}%` : "–");
  const line = (name, j) => {
    const [a, b, , , , , y, z] = shares[name];
    return `<tr><td><span class="key${j}">${name}</span></td><td style="width:38%"><div class="track"><div class="bar${j}" style="width:${(100 * losses[name]) / top}%"></div></div></td>
      <td class="n">${show(losses[name], 4)}</td><td class="n">${show(s.lam * losses[name], 4)}</td><td class="n">${percent(losses[name], base)}</td><td class="n">${percent(a + b + y + z, losses[name])}</td></tr>`;
  };
  return `<tr class="soft"><td>loss</td><td></td><td class="n">value</td><td class="n">times λ</td><td class="n">of Eq. 2</td><td class="n">paid in 1, 2, 7, 8</td></tr>${LOSSES.map(line).join("")}`;
}

function sentence({ losses }) { // which loss notices?
  const base = losses["Eq. 2"], blind = (name) => losses[name] < 0.01 * base;
  if (base < 1e-9) return "The views agree: no loss has anything to say.";
  const silent = ["Eq. 3", "Eq. 5"].filter(blind);
  return silent.length ? `The views disagree, and ${silent.join(" and ")} hardly notice${silent.length > 1 ? "" : "s"}: less than 1% of Eq. 2.` : "All three losses notice.";
}

function draw(v) {
  const { s, c, rows, data } = v, began = performance.now(), seen = judge(s);
  for (const [name, [, , , , unit]] of Object.entries(SLIDERS)) { c[name].value = s[name]; c[name].text.textContent = `${s[name]} ${unit}`; }
  for (const name of Object.keys(TICKS)) c[name].checked = s[name];
  c.pulls.value = s.pulls;
  const top = (map) => range(map)[1] || 1, variance = seen.masks[s.cyclic ? "ring" : "clip"], { magma, viridis, coolwarm } = data.colours;
  paintRow(rows.one.canvas, seen.one, 0, 1, viridis);
  paintRow(rows.two.canvas, seen.two, 0, 1, viridis);
  paintRow(rows.squared.canvas, seen.squared, 0, 1, magma);
  paintRow(rows.ring.canvas, variance, 0, s.normalise ? 1 : 0.25, magma);
  paintRow(rows.gradient.canvas, seen.masks.gradient, 0, s.normalise ? 1 : 0.5, magma);
  const most = (0.1 * 2) / seen.one.length; // the pull on a pixel that is all wrong, at λ = 0.1
  paintRow(rows.slope.canvas, seen.gradient.map((g) => -g), -most, most, coolwarm);
  const longest = 50000; // pixels of arrow for a pull of 1
  rows.one.svg.innerHTML = arrowsOf(seen.arrows.one, middles(s, false), longest);
  rows.two.svg.innerHTML = arrowsOf(seen.arrows.two, middles(s, true), longest);
  v.bars.innerHTML = barsOf(seen.shares);
  v.table.innerHTML = lossTable(seen, s);
  v.said.textContent = sentence(seen);
  v.seen = seen;
  v.root.dataset.milliseconds = (performance.now() - began).toFixed(1);
}

const epochOf = (w, epochs) => Math.round(epochs * (1 - Math.sqrt(Math.min(-Math.log(Math.max(w, 1e-9)) / 5, 1)))); // ramp, backwards

function connect(v, changed) {
  const set = (values) => {
    Object.assign(v.s, values);
    if ("epoch" in values) v.s.ramp = Math.round(1000 * ramp(v.s.epoch, 100)) / 1000;
    else v.s.epoch = epochOf(v.s.ramp, 100);
    draw(v);
    changed("state", { ...v.s });
  };
  for (const name of Object.keys(SLIDERS)) v.c[name].addEventListener("input", () => set({ [name]: Number(v.c[name].value) }));
  for (const name of Object.keys(TICKS)) v.c[name].addEventListener("input", () => set({ [name]: v.c[name].checked }));
  v.c.pulls.addEventListener("input", () => set({ pulls: v.c.pulls.value }));
  v.presets.forEach((button, k) => button.addEventListener("click", () => set({ ...v.data.scene, ...v.data.presets[k][1] })));
  const strip = v.rows.two.canvas;
  let from = null;
  strip.addEventListener("pointerdown", (event) => { from = { x: event.clientX, y: event.clientY, across: v.s.across, down: v.s.down }; strip.setPointerCapture(event.pointerId); });
  strip.addEventListener("pointermove", (event) => {
    if (!from) return;
    const scale = WIDE / strip.clientWidth, fit = (x) => Math.min(Math.max(Math.round(2 * x) / 2, -12), 12);
    set({ across: fit(from.across + (event.clientX - from.x) * scale), down: fit(from.down + (event.clientY - from.y) * scale) });
  });
  for (const end of ["pointerup", "pointercancel"]) strip.addEventListener(end, () => { from = null; });
  return set;
}

async function view(el, data, start, changed) { // the entry; `changed` hears of every move
  const colours = {};
  for (const [name, text] of Object.entries(data.palettes)) colours[name] = await inflate(text);
  const v = build({ ...data, colours }, { ...data.start, ...start });
  const set = connect(v, changed);
  el.replaceChildren(keepKeys(v.root));
  set({});
  return Object.assign(v, { set });
}

async function render({ model, el }) { // what anywidget calls
  await view(el, model.get("data"), model.get("start"), () => {});
}

export default { render };
