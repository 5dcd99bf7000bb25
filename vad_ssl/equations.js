// Equations 2 to 6 in the browser, for every widget of this book. A map is a flat array: t frames of n pixels each.

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  return [low, high];
}

function minMax(raw) { // scaling to [0, 1], the whole clip at once; a constant clip becomes 0
  const [low, high] = range(raw), span = high > low ? high - low : 1;
  return { raw, low, span, values: raw.map((v) => (v - low) / span) };
}

function frameOf(map, t, k) { // a view of frame k, not a copy
  const n = map.length / t;
  return map.subarray(k * n, (k + 1) * n);
}

function variance(frames) { // Eq. 4 for every pixel of some frames; counted from the first, so that stillness is exactly 0
  const [first] = frames, count = frames.length;
  return first.map((start, p) => {
    let mean = 0, sum = 0;
    for (const frame of frames) mean += (frame[p] - start) / count;
    for (const frame of frames) sum += (frame[p] - start - mean) ** 2;
    return sum / count;
  });
}

function inFrames(t, n, frame) { // frame(k) for every k, one after the other
  const map = new Float64Array(t * n);
  for (let k = 0; k < t; k++) map.set(frame(k), k * n);
  return map;
}

const around = (window) => Array.from({ length: window }, (_, d) => d - (window - 1) / 2);

function ringPlaces(k, t, window) { // places around place k of the ring 0 .. t-1, then view 2 backwards without its ends
  const places = Math.max(2 * t - 2, 1);
  return around(window).map((d) => (((k + d) % places) + places) % places);
}

function ringVariance(one, two, t, window) { // mean over the two places of every frame
  const n = one.length / t, places = Math.max(2 * t - 2, 1);
  const at = (p) => (p < t ? frameOf(one, t, p) : frameOf(two, t, 2 * t - 2 - p));
  const here = (k) => variance(ringPlaces(k, t, window).map(at));
  return inFrames(t, n, (k) => {
    const a = here(k), b = here((places - k) % places);
    return a.map((v, p) => (v + b[p]) / 2);
  });
}

function clipPlaces(k, t, window) { // the window is cut at the ends of a clip
  return around(window).map((d) => k + d).filter((p) => p >= 0 && p < t);
}

function clipVariance(one, t, window) {
  const here = (k) => variance(clipPlaces(k, t, window).map((p) => frameOf(one, t, p)));
  return inFrames(t, one.length / t, here);
}

function derivative(map, t) { // central differences over time, one-sided at the ends
  const n = map.length / t;
  return inFrames(t, n, (k) => {
    const low = Math.max(k - 1, 0), high = Math.min(k + 1, t - 1), before = frameOf(map, t, low), after = frameOf(map, t, high);
    return after.map((v, p) => (v - before[p]) / Math.max(high - low, 1));
  });
}

const secondDerivative = (map, t) => derivative(derivative(map, t), t);
const gradientMask = (map, t) => secondDerivative(map, t).map(Math.abs); // Eq. 6

function coefficients(t) { // row k: how the frames enter the second derivative at frame k
  const one = Float64Array.from({ length: t * t }, (_, p) => (p % (t + 1) === 0 ? 1 : 0)), two = secondDerivative(one, t);
  return Array.from({ length: t }, (_, k) => [...frameOf(two, t, k)]);
}

const squaredError = (one, two) => one.map((v, p) => (v - two[p]) ** 2);
const times = (a, b) => a.map((v, p) => v * b[p]);
const total = (values) => values.reduce((sum, v) => sum + v, 0);
const mean = (values) => total(values) / values.length;

function placeWeights(masks, s) { // what multiplies the squared error in Eqs. 2, 3 and 5; masks: ring, clip, gradient
  const mixed = (mask) => mask.map((v) => s.ramp * v + 1 - s.ramp);
  if (s.attention === "none") return masks.gradient.map(() => 1);
  if (s.attention === "gradient") return masks.gradient;
  if (s.attention === "both") return mixed(masks.ring).map((v, p) => (v + masks.gradient[p]) / 2);
  return mixed(s.attention === "variance" ? masks.ring : masks.clip);
}

const loss = (one, two, weight) => mean(times(weight, squaredError(one, two)));
const slope = (one, two, weight) => one.map((v, p) => (2 * weight[p] * (two[p] - v)) / one.length); // of the loss, by view 2
const ramp = (epoch, epochs) => (epochs > 0 ? Math.exp(-5 * (1 - Math.min(Math.max(epoch / epochs, 0), 1)) ** 2) : 1);
