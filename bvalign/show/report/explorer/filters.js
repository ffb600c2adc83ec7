// Which samples pass: each filter has a bit in `failed`, so that a histogram or the plot can show
// what all the others let through.
const FORM = 1, PLOT = 2;
const failed = new Uint8Array(size);
const bitOf = {};
page.histograms.forEach((name, k) => bitOf[name] = 4 << k);
const isShown = row => failed[row] === 0;
let numShown = size, filtered = false;

let lowered = null;
function matches(query) {
  const wanted = query.trim().toLowerCase();
  if (!wanted) return null;
  const named = page.classes.map(name => name.toLowerCase().includes(wanted));
  if (page.picture === "text") lowered ??= texts().map(text => text.toLowerCase());
  const id = /^\d+$/.test(wanted) ? Number(wanted) : -1, label = columns.label;
  return row => columns.index[row] === id || (page.names && page.names[row].toLowerCase().includes(wanted)) || named[columns.prediction[row]] ||
    (label && named[label[row]]) || (lowered !== null && lowered[row].includes(wanted));
}

function inScenario() {
  const found = page.scenarios[state.view];
  if (!found) return null;
  const bits = found.unpacked ??= unpacked(found.bits);
  return row => (bits[row >> 3] >> (row & 7)) & 1;
}

function lassoed() {
  if (!state.lasso) return null;
  const scale = scales(), view = page.views[state.values];
  const corners = state.lasso.split(" ").map(pair => pair.split(",").map(Number));
  const us = corners.map(pair => scale.x.place(pair[0])), vs = corners.map(pair => scale.y.place(pair[1]));
  const [xs, ys] = [columns[view.x], columns[view.y]];
  return row => inPolygon(us, vs, scale.x.place(xs[row]), scale.y.place(ys[row]));
}

function inPolygon(us, vs, u, v) {
  let inside = false;
  for (let i = 0, j = us.length - 1; i < us.length; j = i++) {
    if ((vs[i] > v) !== (vs[j] > v) && u < (us[j] - us[i]) * (v - vs[i]) / (vs[j] - vs[i]) + us[i]) inside = !inside;
  }
  return inside;
}

function inRange(name) {
  const ends = state.ranges[name], values = columns[name];
  return ends && (row => values[row] >= ends[0] && values[row] <= ends[1]);
}

function filter() {
  const tests = [];
  const add = (bit, test) => test && tests.push([bit, test]);
  const kept = columns[page.labels ? "label" : "prediction"], id = Number(state.class);
  add(FORM, state.class !== "" && (row => kept[row] === id));
  const kind = {correct: 0, wrong: 1}[state.outcome], kinds = columns.kind;
  add(FORM, kind !== undefined && page.labels && (row => kinds[row] === kind));
  add(FORM, inScenario());
  add(FORM, matches(state.q));
  for (const name of Object.keys(state.ranges)) add(bitOf[name] ?? PLOT, inRange(name));
  add(PLOT, page.views[state.values] && lassoed());
  failed.fill(0);
  for (const [bit, test] of tests) for (let row = 0; row < size; row++) if (!test(row)) failed[row] |= bit;
  numShown = 0;
  for (let row = 0; row < size; row++) numShown += failed[row] === 0;
  filtered = tests.length > 0;
}

function showCount() {
  byId("count").textContent = `${many(numShown)} of ${many(size)} samples shown` +
    (size < page.num_samples ? ` (of ${many(page.num_samples)} in all)` : "");
}

// The form and the named filters show the state, and change it.
function fillForm() {
  for (const [key, value] of Object.entries(DEFAULTS)) {
    const field = form.elements[key];
    if (!field || field === document.activeElement) continue;
    field.value = state[key];
    if (field.selectedIndex === -1) field.value = value;
  }
  for (const button of document.querySelectorAll("#scenarios button")) {
    button.setAttribute("aria-pressed", button.dataset.view === state.view);
  }
  const found = page.scenarios[state.view];
  byId("explanation").hidden = !found;
  byId("explanation").textContent = found ? found.explanation : "";
}

form.addEventListener("input", event => {
  const {name, value} = event.target;
  if (name in DEFAULTS) update({[name]: value});
});
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", event => {
  event.preventDefault();
  state = {...DEFAULTS, ranges: {}};
  zoomed = null;
  grid?.deselectAll();
  writeAddress();
  refresh();
});
for (const name of ["axes", "values"]) {  // they stand beside the plot, outside the form's element
  form.elements[name]?.addEventListener("input", event => update({[name]: event.target.value}));
}
for (const button of document.querySelectorAll("#scenarios button")) {
  button.addEventListener("click", () => update({view: button.dataset.view === state.view ? "" : button.dataset.view}));
}
