// What the widgets share: nodes, numbers, packed arrays, colours, sliders.

const show = (v, digits = 3) => (v !== 0 && Math.abs(v) < 0.01 ? v.toPrecision(2) : v.toFixed(digits));

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    key in node && key !== "list" ? (node[key] = value) : node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const safe = (text) => make("i", { textContent: text }).innerHTML; // names are no HTML

function keepKeys(root) { // keys belong to the sliders, and not to the notebook around them
  root.addEventListener("keydown", (event) => event.stopPropagation());
  return root;
}

async function inflate(text) { // base64 of zlib -> bytes
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpack(packed) { // {low, span, data}: high bytes, then low bytes, of 0 .. 65535 -> numbers
  if (!packed) return null;
  const raw = await inflate(packed.data), n = raw.length / 2;
  return Float64Array.from({ length: n }, (_, k) => packed.low + ((raw[k] * 256 + raw[n + k]) / 65535) * packed.span);
}

function paintLegend(canvas, palette) {
  const context = canvas.getContext("2d");
  for (let k = 0; k < 64; k++) {
    const c = 3 * Math.round((255 * k) / 63);
    context.fillStyle = `rgb(${palette[c]},${palette[c + 1]},${palette[c + 2]})`;
    context.fillRect(k, 0, 1, 1);
  }
}

const slider = (max, step, value, name) => make("input", { type: "range", min: 0, max, step, value, "aria-label": name });
const choice = (options, value, name) => {
  const node = make("select", { "aria-label": name }, ...options.map((o) => make("option", { value: o, textContent: o })));
  node.value = value;
  return node;
};
const labelled = (text, node, wide = "") => make("label", { className: wide }, text, node);

