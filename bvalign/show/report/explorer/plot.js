// The scatter: points on a canvas; axes, lines and means of bins above it as SVG.
const plot = byId("plot");
const under = svg("svg", {"aria-hidden": "true"}), canvas = document.createElement("canvas"), over = svg("svg", {"aria-hidden": "true"});
plot?.append(under, canvas, over);
page.kinds.forEach(({colour: name}, kind) => document.documentElement.style.setProperty(`--kind-${kind}`, `var(${name})`));
let places = null;  // pixels of each sample, NaN off the axes
const LEAST_IN_BIN = 10;

function drawPlot() {
  if (!plot) return;
  const view = page.views[state.values], scale = scales();
  placePoints(view, scale);
  drawPoints();
  const back = svg("g", {"clip-path": "url(#plot-clip)"}), front = back.cloneNode();
  under.replaceChildren(back);
  over.replaceChildren(clip(), front);
  drawAxes(under, scale, view.axes);
  if (view.edge.y.some(y => y !== null)) back.append(infeasible(view.edge, scale));
  if (view.diagonal) front.append(svg("path", {class: "diagonal", d: path({x: diagonal(scale), y: diagonal(scale)}, scale)}));
  for (const line of view.lines) front.append(svg("path", {class: "halo", d: path(line, scale)}));
  for (const line of view.lines) front.append(svg("path", {class: lineClass(line), d: path(line, scale)}));
  const means = binsShown(view);
  means.bins.forEach((bins, kind) => bins.forEach(bin => front.append(...drawnBin(bin, kind, means.faint, scale))));
  front.append(svg("g", {id: "brush"}), svg("g", {id: "rings"}));
  drawBrush();
  drawRings();
  drawLegend(view, means);
  byId("zoom-out").hidden = zoomed === null;
  byId("show-all").hidden = !filtered;
}

function clip() {
  const {width, height} = plotSize(), made = svg("clipPath", {id: "plot-clip"});
  made.append(svg("rect", {x: MARGIN.left, y: MARGIN.top, width: Math.max(width - MARGIN.left - MARGIN.right, 0), height: Math.max(height - MARGIN.top - MARGIN.bottom, 0)}));
  return made;
}

function placePoints(view, {x, y}) {
  const xs = columns[view.x], ys = columns[view.y], {width, height} = plotSize();
  places ??= {x: new Float32Array(size), y: new Float32Array(size)};
  for (let row = 0; row < size; row++) {
    const at = x.of(xs[row]), up = y.of(ys[row]);
    const inside = at >= MARGIN.left - 4 && up >= 0 && at <= width && up <= height - MARGIN.bottom + 4;
    places.x[row] = inside ? at : NaN;
    places.y[row] = up;
  }
}

function drawPoints() {
  const {width, height} = plotSize(), ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const radius = size > 20000 ? 1.2 : size > 3000 ? 1.7 : 2.6;
  if (filtered) dots(pen, colour("--line"), radius, 0.8, row => failed[row] !== 0);
  const alpha = Math.min(0.9, Math.max(0.25, 40 / Math.sqrt(numShown)));
  page.kinds.forEach(({colour: name}, kind) => dots(pen, colour(name), radius, alpha, row => failed[row] === 0 && columns.kind[row] === kind));
}

function dots(pen, fill, radius, alpha, wanted) {
  pen.globalAlpha = alpha;
  pen.fillStyle = fill;
  const small = radius < 2, side = 2 * radius;
  for (let row = 0; row < size; row++) {
    const x = places.x[row];
    if (x !== x || !wanted(row)) continue;
    if (small) pen.fillRect(x - radius, places.y[row] - radius, side, side);
    else {
      pen.beginPath();
      pen.arc(x, places.y[row], radius, 0, 7);
      pen.fill();
    }
  }
}

function path({x, y}, scale) {
  let text = "", pen = "M";
  x.forEach((value, k) => {
    if (y[k] === null || (scale.y.log && y[k] <= 0)) pen = "M";
    else {
      text += `${pen}${scale.x.of(value).toFixed(1)} ${Math.max(Math.min(scale.y.of(y[k]), 1e4), -1e4).toFixed(1)}`;
      pen = "L";
    }
  });
  return text;
}

function diagonal({x: {ends, value}}) {
  return Array.from({length: 41}, (_, k) => value(ends[0] + (ends[1] - ends[0]) * k / 40));
}

// Above the edge, and right of its end.
function infeasible(edge, scale) {
  const text = path(edge, scale), start = text.slice(1).split(" ")[0];
  return svg("path", {class: "infeasible", d: `${text}V1e4H1e4V-1e4H${start}Z`});
}

function lineClass({estimator, flagged}) {
  return `fit ${estimator === "logit_slope" ? "population" : "members"}${flagged ? " flagged" : ""}${filtered ? " faint" : ""}`;
}

function drawnBin({x, y, low, high}, kind, faint, scale) {
  const at = scale.x.of(x), up = scale.y.of(y), names = `kind-${kind}${faint ? " faint" : ""}`;
  const dot = svg("circle", {class: `mean ${names}`, cx: at, cy: up, r: 3.2});
  if (low === null) return [dot];
  const bottom = scale.y.log && low <= 0 ? 1e4 : scale.y.of(low);
  return [svg("line", {class: `bar ${names}`, x1: at, x2: at, y1: bottom, y2: scale.y.of(high)}), dot];
}

// Means of all samples come with the page. Those of a filter are made here, with intervals over its
// samples alone; a page that holds not all samples, or samples in clusters, cannot make them.
function binsShown(view) {
  const all = view.bins[state.axes];
  if (!all) return {bins: [], words: ""};
  const words = state.axes === "log" ? "geometric means of bins" : "means of bins";
  const over = all.members ? "samples and members" : "samples alone";
  if (!filtered) return {bins: all.means, words: `${words}, 95% over ${over}`};
  if (size < page.num_samples || page.clustered) return {bins: all.means, faint: true, words: `${words}, of all samples`};
  return {bins: binsOf(view, all), words: `${words} of what is shown, 95% over samples alone`};
}

function binsOf(view, {low, high, number}) {
  const log = state.axes === "log", place = log ? Math.log10 : value => value, value = log ? at => 10 ** at : at => at;
  const sums = [0, 1].map(() => Array.from({length: number}, () => ({n: 0, x: 0, y: 0, square: 0})));
  for (const again of [false, true]) {  // the mean first, then squares about it
    for (let row = 0; row < size; row++) {
      if (failed[row]) continue;
      const u = place(columns[view.x][row]), v = place(columns[view.y][row]);
      if (!(u >= low && u <= high) || !Number.isFinite(v)) continue;
      const sum = sums[columns.kind[row]][Math.min(Math.floor((u - low) / (high - low || 1) * number), number - 1)];
      if (again) sum.square += (v - sum.y / sum.n) ** 2;
      else Object.assign(sum, {n: sum.n + 1, x: sum.x + u, y: sum.y + v});
    }
  }
  return sums.map(bins => bins.filter(({n}) => n >= LEAST_IN_BIN).map(({n, x, y, square}) => {
    const half = (page.quantiles[n - 2] ?? 1.984) * Math.sqrt(square / n / (n - 1)), mean = y / n;
    return {x: value(x / n), y: value(mean), low: value(mean - half), high: value(mean + half)};
  }));
}

function drawLegend(view, means) {
  const entries = [], counts = [0, 0], off = [0, 0];
  for (let row = 0; row < size; row++) if (!failed[row]) (Number.isNaN(places.x[row]) ? off : counts)[columns.kind[row]]++;
  page.kinds.forEach(({name, count}, kind) => {
    const number = many(filtered ? counts[kind] + off[kind] : count), part = filtered && size < page.num_samples;
    entries.push([`point kind-${kind}`, `${name} (${number}${part ? " of those on this page" : ""})`]);
  });
  if (filtered) entries.push(["point other", "not shown by the filters"]);
  if (means.bins.some(bins => bins.length)) entries.push([`mean${means.faint ? " faint" : ""}`, means.words]);
  for (const line of view.lines) entries.push([lineClass(line), line.name + (filtered ? " (of all samples)" : "")]);
  if (view.diagonal) entries.push(["diagonal", `${view.names[1]} = ${view.names[0]}`]);
  if (view.edge.y.some(y => y !== null)) entries.push(["infeasible", "not feasible"]);
  byId("legend").replaceChildren(...entries.map(([name, text]) => {
    const made = element("li", text);
    made.prepend(element("span", "", `key ${name}`));
    return made;
  }));
  const outside = off[0] + off[1];
  byId("plot-note").textContent = outside ? `${many(outside)} more lie outside the axes${state.axes === "log" && !zoomed ? " (zero, or too small)" : ""}.` : "";
  plot.dataset.points = counts[0] + counts[1];
}
