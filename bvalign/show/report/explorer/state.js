// What the page holds and what the reader asked for. The state is the fragment of the address
// (report.html#class=3&select=17), so that a view can be sent as a link.
const page = JSON.parse(document.getElementById("page-data").textContent);
const TYPES = {f8: Float64Array, f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array};

function unpacked({type, data}) {
  const text = atob(data), bytes = new Uint8Array(text.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
  return new TYPES[type](bytes.buffer);
}

// Columns are decoded when they are first read.
const columns = {};
function lazily(name, packed) {
  let values = null;
  Object.defineProperty(columns, name, {get: () => values ??= unpacked(packed)});
}
for (const [name, packed] of Object.entries(page.columns)) lazily(name, packed);
const size = columns.index.length, top = size && page.columns.probs ? columns.probs.length / size : 0;

let parsedTexts = null;
const texts = () => parsedTexts ??= JSON.parse(document.getElementById("page-texts").textContent);

const axesByDefault = page.num_members > 1 ? "log" : "linear";  // one member has no variance to take logs of
const DEFAULTS = {view: "", class: "", outcome: "", q: "", axes: axesByDefault, values: "plug_in", lasso: "", select: ""};
const RANGES = Object.keys(page.columns).filter(name => !["classes", "probs", "votes", "kind"].includes(name));
const OPEN = [-Infinity, Infinity];
let state = {...DEFAULTS, ranges: {}};

const form = document.getElementById("filters");
const byId = id => document.getElementById(id);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const many = number => number.toLocaleString("en");
const percent = value => `${(100 * value).toFixed(1)}%`;
function digits(value) {
  if (!Number.isFinite(value)) return "none";
  return Math.abs(value) < 1e-3 && value ? value.toExponential(2) : value.toPrecision(3);
}

const nameOf = row => page.names ? page.names[row] : String(columns.index[row]);  // names of samples, or their ids

function element(tag, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function svg(tag, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function rowOf(index) {
  const row = index === "" ? -1 : columns.index.indexOf(Number(index));
  return row === -1 ? null : row;
}

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1)), ranges = {};
  for (const name of RANGES) {
    const [low, high] = (wanted.get(name) ?? "").split("..");
    const ends = [low ? Number(low) : -Infinity, high ? Number(high) : Infinity];
    if ((low || high) && !ends.some(Number.isNaN)) ranges[name] = ends;
  }
  state = {...DEFAULTS, ranges};
  for (const key of Object.keys(DEFAULTS)) state[key] = wanted.get(key) ?? DEFAULTS[key];
  if (!["log", "linear"].includes(state.axes)) state.axes = DEFAULTS.axes;
  if (!page.views[state.values]) state.values = DEFAULTS.values;
  if (!page.scenarios[state.view]) state.view = "";
}

function writeAddress() {
  const now = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS)) if (state[key] !== DEFAULTS[key]) now.set(key, state[key]);
  for (const [name, ends] of Object.entries(state.ranges)) {
    now.set(name, ends.map(end => Number.isFinite(end) ? String(end) : "").join(".."));
  }
  const text = now.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// Changes the state and all that shows it. `ranges` are merged; an open range is no range.
function update(changes) {
  const {ranges = {}, ...plain} = changes;
  const reshaped = "axes" in plain || "values" in plain;
  if (reshaped && !("lasso" in plain)) plain.lasso = "";  // its sides were straight on the other axes
  Object.assign(state, plain);
  for (const [name, ends] of Object.entries(ranges)) {
    if (ends && ends.some(Number.isFinite)) state.ranges[name] = ends;
    else delete state.ranges[name];
  }
  writeAddress();
  if (Object.keys(changes).some(key => key !== "select")) refresh();
  else showSelected();
}
