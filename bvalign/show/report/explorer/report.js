// Connects the form, the Plotly scatter and the panel of one sample. The state of the page is the
// fragment of its address (report.html#class=3&select=17), so that a view can be sent as a link.
"use strict";
(() => {
const page = JSON.parse(document.getElementById("page-data").textContent);
const TYPES = {f8: Float64Array, f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array};
const columns = {};
for (const [name, {type, data}] of Object.entries(page.columns)) {
  columns[name] = new TYPES[type](Uint8Array.from(atob(data), c => c.charCodeAt(0)).buffer);
}
const rows = Array.from(columns.index, (_, row) => row);
const plot = document.getElementById("plot"), panel = document.getElementById("sample");
const form = document.getElementById("filters"), count = document.getElementById("count");
const axes = page.num_members > 1 ? "log" : "linear";  // one member has no variance to take logs of
const DEFAULTS = {class: "", outcome: "", axes, values: "plug_in", select: ""};
const canvas = document.createElement("canvas");
const POINTS = canvas.getContext("webgl") ? "scattergl" : "scatter";
const BINS = 90;
const TITLES = {bias_sq: "bias²"};  // names of columns as the page writes them
let shown = [], pinned = null;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const digits = value => Math.abs(value) < 1e-3 && value ? value.toExponential(2) : value.toPrecision(3);
const percent = value => `${(100 * value).toFixed(1)}%`;
const state = () => Object.fromEntries(new FormData(form));

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of Object.entries(DEFAULTS)) {
    form.elements[key].value = wanted.get(key) ?? value;
    if (form.elements[key].selectedIndex === -1) form.elements[key].value = value;
  }
  pinned = rowOf(state().select);
  plotSamples();
  pin(pinned);
}

function writeAddress() {
  const now = Object.entries(state()).filter(([key, value]) => value !== DEFAULTS[key]);
  history.replaceState(null, "", "#" + new URLSearchParams(now));
}

function rowOf(index) {
  const row = index === "" ? -1 : columns.index.indexOf(Number(index));
  return row === -1 ? null : row;
}

function plotSamples() {
  const now = state(), view = page.views[now.values], log = now.axes === "log";
  const x = columns[view.x], y = columns[view.y], low = log ? 10 ** view.log[0] : -Infinity;
  const chosen = rows.filter(row =>
    (now.class === "" || columns.label[row] === Number(now.class)) &&
    (now.outcome === "" || columns.correct[row] === Number(now.outcome === "correct")));
  shown = chosen.filter(row => x[row] >= low && y[row] >= low).sort((a, b) => x[a] - x[b]);
  const left = chosen.length - shown.length;
  count.textContent = `${shown.length.toLocaleString("en")} of ${page.num_samples.toLocaleString("en")} ` +
    "samples shown" + (left ? `; ${left.toLocaleString("en")} more lie outside the logarithmic axes` : "");
  const traces = page.points < rows.length ? [density(x, y, view, log)] : [];
  for (const [correct, name] of [[1, "correct"], [0, "wrong"]]) {
    const points = shown.filter(row => row < page.points && columns.correct[row] === correct);
    traces.push({
      type: POINTS, mode: "markers", hoverinfo: "none", customdata: points,
      name: `${name} (${points.length.toLocaleString("en")})`,
      x: points.map(row => x[row]), y: points.map(row => y[row]),
      marker: {color: colour(`--${name}`), size: rows.length > 3000 ? 4 : 6, opacity: points.length > 300 ? 0.65 : 0.9},
    });
  }
  traces.push(...view.bounds.map((line, number) => curve(line, "--soft", number ? "dot" : "dash")));
  traces.push(...view.lines.map(line => curve({...line, name: line.name.replaceAll("; ", "<br>")},
    line.estimator === "logit_slope" ? "--ink" : "--other-line", line.flagged ? "dot" : "solid", 2.5)));
  const buttons = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = {responsive: true, displaylogo: false, modeBarButtons: buttons};
  Plotly.react(plot, traces, layout(view, log), config).then(() => {
    plot.dataset.plottedAfter = Math.round(performance.now());  // milliseconds since the page opened
  });
}

function curve(line, name, dash, width = 1.5) {
  return {type: "scatter", mode: "lines", hoverinfo: "skip", name: line.name, x: line.x, y: line.y,
    line: {color: colour(name), dash, width}};
}

// Many samples are plotted as counts on a grid, and only the extreme ones as points.
function density(x, y, view, log) {
  const ends = log ? [view.log, view.log] : view.linear;
  const place = log ? Math.log10 : value => value;
  const cell = (value, [low, high]) => Math.floor((place(value) - low) / (high - low) * BINS);
  const z = Array.from({length: BINS}, () => new Array(BINS).fill(null));
  for (const row of shown) {
    const line = z[cell(y[row], ends[1])], at = cell(x[row], ends[0]);
    if (line && at >= 0 && at < BINS) line[at] = (line[at] ?? 0) + 1;
  }
  const edges = ([low, high]) => Array.from({length: BINS + 1}, (_, k) => {
    const edge = low + (high - low) * k / BINS;
    return log ? 10 ** edge : edge;
  });
  return {type: "heatmap", x: edges(ends[0]), y: edges(ends[1]), hoverinfo: "skip",
    z: z.map(line => line.map(cell => cell && Math.log10(cell))), showscale: true,
    colorscale: [[0, colour("--few")], [1, colour("--many")]],
    colorbar: {title: {text: "samples", font: {color: colour("--ink")}}, thickness: 10, len: 0.4,
      x: 0.98, xanchor: "right", y: 0.03, yanchor: "bottom",
      tickvals: [0, 1, 2, 3, 4], ticktext: ["1", "10", "100", "1,000", "10,000"],
      tickfont: {color: colour("--ink")}}};
}

function layout(view, log) {
  const axis = (title, ends) => ({title: {text: title}, type: log ? "log" : "linear",
    range: log ? view.log : ends, gridcolor: colour("--line"), zeroline: false,
    exponentformat: "power", dtick: log ? Math.ceil((view.log[1] - view.log[0]) / 8) : undefined});
  return {xaxis: axis("squared bias (squared probability)", view.linear[0]),
    yaxis: axis("variance (squared probability)", view.linear[1]),
    modebar: {bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink")},
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: {color: colour("--ink"), family: "system-ui, sans-serif", size: 12},
    margin: {l: 64, r: 12, t: 30, b: 60 + 16 * legendRows(view)}, shapes: ring(),
    legend: {orientation: "h", yref: "container", y: 0, yanchor: "bottom"},
    uirevision: `${log} ${view.title}`};
}

function legendRows(view) {
  return 2 + view.bounds.length + view.lines.map(line => line.name.split("; ").length).reduce((a, b) => a + b, 0);
}

function ring() {
  const view = page.views[state().values];
  if (pinned === null || !shown.includes(pinned)) return [];
  return [{type: "circle", xsizemode: "pixel", ysizemode: "pixel", x0: -9, x1: 9, y0: -9, y1: 9,
    xanchor: columns[view.x][pinned], yanchor: columns[view.y][pinned],
    line: {color: colour("--ink"), width: 3}}];
}

function pin(row) {
  if (row !== pinned) {
    pinned = row;
    Plotly.relayout(plot, {shapes: ring()});
  }
  form.elements.select.value = row === null ? "" : columns.index[row];
  show(row);
  for (const card of document.querySelectorAll("button.card")) {
    card.setAttribute("aria-pressed", Number(card.dataset.row) === row);
  }
  writeAddress();
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function show(row) {
  panel.replaceChildren();
  panel.dataset.index = row === null ? "" : columns.index[row];
  if (row === null) {
    panel.append(element("p", "Point at a sample to see it here, click to keep it, or type its index above.", "soft"));
    return;
  }
  const at = name => columns[name][row], name = k => page.classes[k];
  panel.append(element("h3", `Sample ${at("index")}`), picture(row));
  const facts = document.createElement("dl");
  for (const [key, value, unit] of [["label", name(at("label"))],
    ["mean prediction", name(at("prediction")) + (at("correct") ? "" : " (wrong)")],
    ...page.card.map(({name, unit}) => [TITLES[name] ?? name, digits(at(name)), unit])]) {
    facts.append(element("dt", key), element("dd", value));
    if (unit) facts.lastChild.title = unit;
  }
  panel.append(facts, votes(row));
}

function picture(row) {
  if (row < page.texts.length) return element("blockquote", page.texts[row]);
  if (row >= page.thumbnails) {
    return element("p", page.kind ? `No ${page.kind} of this sample: the page holds those of the most extreme samples.` : "", "soft");
  }
  const sheet = Math.floor(row / page.per_sheet), cell = row % page.per_sheet;
  const made = element("div", "", `thumb large sheet-${sheet}`);
  made.style.setProperty("--row", Math.floor(cell / page.per_row));
  made.style.setProperty("--column", cell % page.per_row);
  made.role = "img";
  made.ariaLabel = `sample ${columns.index[row]}`;
  return made;
}

function votes(row) {
  const table = document.createElement("table"), from = row * page.top;
  const line = (tag, cells) => {
    const made = document.createElement("tr");
    made.append(...cells.map(text => element(tag, text)));
    table.append(made);
  };
  line("th", ["class", "mean probability", `votes of ${page.num_members}`]);
  let prob = 1, number = page.num_members;
  const has = columns.num_options ? columns.num_options[row] : page.classes.length;
  for (let k = from; k < from + Math.min(page.top, has); k++) {
    line("td", [page.classes[columns.classes[k]], percent(columns.probs[k]), columns.votes[k]]);
    prob -= columns.probs[k];
    number -= columns.votes[k];
  }
  if (page.top < has) line("td", ["all others", percent(Math.max(prob, 0)), number]);
  return table;
}

// Arrow keys step through the samples of the plot by squared bias, and through the cards of a gallery.
plot.addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowLeft: -1, PageUp: 50, PageDown: -50}[event.key];
  if (event.key === "Escape") pin(null);
  if (!step || !shown.length) return;
  event.preventDefault();
  const now = shown.indexOf(pinned);
  pin(shown[now === -1 ? 0 : Math.min(Math.max(now + step, 0), shown.length - 1)]);
});
for (const gallery of document.querySelectorAll(".gallery")) {
  const cards = [...gallery.querySelectorAll("button.card")];
  cards.forEach((card, place) => {
    card.tabIndex = place ? -1 : 0;
    card.addEventListener("focus", () => show(Number(card.dataset.row)));
    card.addEventListener("click", () => {
      pin(Number(card.dataset.row));
      panel.scrollIntoView({block: "nearest"});
    });
    card.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      const next = cards[place + step];
      if (!next) return;
      event.preventDefault();
      card.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
}
form.addEventListener("input", event => {
  if (event.target.name === "select") pin(rowOf(event.target.value));
  else plotSamples();
  writeAddress();
});
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", event => {
  event.preventDefault();
  location.hash = "";
  readAddress();
});
addEventListener("hashchange", readAddress);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", plotSamples);
readAddress();
plot.on("plotly_hover", event => show(event.points[0].customdata));
plot.on("plotly_unhover", () => show(pinned));
plot.on("plotly_click", event => pin(event.points[0].customdata));
})();
