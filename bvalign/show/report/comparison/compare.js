// The scatter of all runs, and one sample in all of them. What is shown is the fragment of the
// address (compare.html#runs=0,2&select=17), so that a view can be sent as a link.
"use strict";
(() => {
const page = JSON.parse(document.getElementById("page-data").textContent);
const TYPES = {f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array};
const SYMBOLS = ["circle", "diamond", "square", "triangle-up"], COLOURS = 6;
const unpacked = columns => Object.fromEntries(Object.entries(columns).map(([name, {type, data}]) =>
  [name, new TYPES[type](Uint8Array.from(atob(data), c => c.charCodeAt(0)).buffer)]));
const groups = page.groups.map(group => ({...group, columns: unpacked(group.columns)}));
const runs = page.runs.map((run, place) => ({...run, ...unpacked(run.columns), place}));
const plot = document.getElementById("plot"), panel = document.getElementById("sample");
const form = document.getElementById("runs"), boxes = [...form.querySelectorAll("[name=run]")];
const POINTS = document.createElement("canvas").getContext("webgl") ? "scattergl" : "scatter";
let pinned = null;  // {group, row}

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const runColour = run => colour(`--run-${run.place % COLOURS}`);
const symbol = run => SYMBOLS[Math.floor(run.place / COLOURS) % SYMBOLS.length];
const digits = value => Math.abs(value) < 1e-3 && value ? value.toExponential(2) : value.toPrecision(3);
const shown = () => runs.filter(run => boxes[run.place].checked);
const escaped = text => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function predicted(run, row) {
  if (!run.prediction) return run.correct[row] ? "right" : "wrong";
  return groups[run.group].classes[run.prediction[row]] + (run.correct[row] ? "" : " (wrong)");
}

function readAddress() {
  const wanted = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const visible = wanted.get("runs")?.split(",");
  for (const box of boxes) box.checked = visible ? visible.includes(box.value) : true;
  pinned = find(wanted.get("select") ?? "");
  draw();
  pin(pinned);
}

function writeAddress() {
  const now = new URLSearchParams();
  if (!boxes.every(box => box.checked)) now.set("runs", shown().map(run => run.place).join(","));
  if (pinned) now.set("select", groups[pinned.group].columns.index[pinned.row]);
  history.replaceState(null, "", now.size ? `#${now}`.replaceAll("%2C", ",") : location.pathname);
}

// The first sample of that id among the runs in the plot.
function find(id) {
  for (const {group} of id === "" ? [] : shown()) {
    const row = groups[group].columns.index.indexOf(Number(id));
    if (row !== -1) return {group, row};
  }
  return null;
}

function points(run) {
  const {columns, classes} = groups[run.group];
  const rows = Array.from(run.bias_sq, (_, row) => row).filter(
    row => run.bias_sq[row] > 0 && run.variance[row] > 0);
  const text = rows.map(row => `<b>${escaped(run.name)}</b><br>sample ${columns.index[row]}<br>` +
    `label ${escaped(classes[columns.label[row]])}<br>prediction ${escaped(predicted(run, row))}`);
  return {type: POINTS, mode: "markers", name: run.name, text, customdata: rows, meta: run.place,
    x: rows.map(row => run.bias_sq[row]), y: rows.map(row => run.variance[row]),
    hovertemplate: "%{text}<extra></extra>", hoverlabel: {align: "left"},
    marker: {color: runColour(run), size: rows.length > 3000 ? 4 : 6, opacity: 0.6,
      symbol: rows.map(row => symbol(run) + (run.correct[row] ? "" : "-open"))}};
}

function line(run) {
  return {type: "scatter", mode: "lines", hoverinfo: "skip", x: run.line.x, y: run.line.y,
    line: {color: runColour(run), width: 3}};
}

// A ring around the sample in every run in the plot, joined in the order of the runs.
function rings(sample) {
  const linked = sample ? shown().filter(run => run.group === sample.group) : [];
  return {type: "scatter", mode: "lines+markers", hoverinfo: "skip",
    x: linked.map(run => run.bias_sq[sample.row]), y: linked.map(run => run.variance[sample.row]),
    line: {color: colour("--soft"), width: 1, dash: "dot"},
    marker: {size: 16, symbol: "circle-open", color: linked.map(runColour), line: {width: 3}}};
}

function draw() {
  const low = 10 ** page.range[0], high = 10 ** page.range[1];
  const diagonal = {type: "scatter", mode: "lines", hoverinfo: "skip", x: [low, high], y: [low, high],
    line: {color: colour("--soft"), width: 1, dash: "dash"}};
  const traces = [...shown().map(points), diagonal,
    ...shown().filter(run => run.line).map(line), rings(pinned)];
  const axis = title => ({title: {text: title}, type: "log", range: page.range, zeroline: false,
    gridcolor: colour("--line"), exponentformat: "power",
    dtick: Math.ceil((page.range[1] - page.range[0]) / 8)});
  const layout = {xaxis: axis("squared bias (squared probability)"),
    yaxis: axis("variance (squared probability)"), showlegend: false, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: "same",
    modebar: {bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--ink")},
    font: {color: colour("--ink"), family: "system-ui, sans-serif", size: 12},
    margin: {l: 64, r: 12, t: 30, b: 50}};
  const buttons = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = {responsive: true, displaylogo: false, modeBarButtons: buttons};
  return Plotly.react(plot, traces, layout, config);
}

function ring(sample) {
  const {x, y, line, marker} = rings(sample);
  Plotly.restyle(plot, {x: [x], y: [y], line: [line], marker: [marker]}, [plot.data.length - 1]);
  show(sample);
}

function pin(sample) {
  pinned = sample;
  form.elements.select.value = sample ? groups[sample.group].columns.index[sample.row] : "";
  ring(sample);
  writeAddress();
}

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function show(sample) {
  panel.dataset.index = sample ? groups[sample.group].columns.index[sample.row] : "";
  if (!sample) {
    panel.replaceChildren(element("p", "Point at a sample to see it in all runs."));
    return;
  }
  const {columns, classes} = groups[sample.group], id = columns.index[sample.row];
  const table = element("table", element("thead", element("tr",
    ...["Run", "Prediction", "Squared bias", "Variance"].map(words => element("th", words)))));
  for (const run of runs.filter(one => one.group === sample.group)) {
    const name = element("a", run.name);
    if (run.report) name.href = `${run.report}#select=${id}`;
    const head = element("th", run.report ? name : run.name);
    head.scope = "row";
    table.append(element("tr", head, element("td", predicted(run, sample.row)),
      element("td", digits(run.bias_sq[sample.row])), element("td", digits(run.variance[sample.row]))));
  }
  panel.replaceChildren(
    element("h2", `Sample ${id}, label ${classes[columns.label[sample.row]]}`), table);
}

// Arrow keys step through the samples of the first run in the plot by squared bias.
plot.addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowLeft: -1, PageUp: 50, PageDown: -50}[event.key];
  const run = pinned ? shown().find(one => one.group === pinned.group) : shown()[0];
  if (event.key === "Escape") pin(null);
  if (!step || !run) return;
  event.preventDefault();
  const order = Array.from(run.bias_sq.keys()).sort((a, b) => run.bias_sq[a] - run.bias_sq[b]);
  const now = pinned ? order.indexOf(pinned.row) + step : 0;
  pin({group: run.group, row: order[Math.min(Math.max(now, 0), order.length - 1)]});
});
form.addEventListener("input", event => {
  if (event.target.name === "select") pin(find(event.target.value));
  else redraw();
});
form.addEventListener("submit", event => event.preventDefault());
for (const button of form.querySelectorAll("button")) {
  button.addEventListener("click", () => {
    for (const box of boxes) box.checked = Boolean(button.dataset.all);
    redraw();
  });
}

function redraw() {
  draw();
  writeAddress();
}

// The tables of pairs, of one run or of resolved differences alone.
const one = document.getElementById("with"), resolved = document.getElementById("resolved");
function filter() {
  for (const row of document.querySelectorAll("tr[data-runs]")) {
    row.hidden = (one.value !== "" && !row.dataset.runs.split(" ").includes(one.value)) ||
      (resolved.checked && row.dataset.resolved === "0");
  }
}
one?.addEventListener("input", filter);
resolved?.addEventListener("input", filter);

addEventListener("hashchange", () => { if (!location.hash || location.hash.includes("=")) readAddress(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
readAddress();
const at = ({points: [point]}) => ({group: runs[point.data.meta].group, row: point.customdata});
plot.on("plotly_hover", event => { if (event.points[0].customdata !== undefined) ring(at(event)); });
plot.on("plotly_unhover", () => ring(pinned));
plot.on("plotly_click", event => pin(at(event)));
Plotly.relayout(plot, {}).then(() => {
  document.body.dataset.usableAfter = Math.round(performance.now());
});
})();
