// In the plot: brush, lasso, zoom, hover and keys.
const CLOSE = 14;  // pixels from which a point is meant
const MOST_CORNERS = 40;
let mode = "box", drag = null;
const tip = element("div", "", "tip");
tip.hidden = true;
plot?.append(tip);

const rounded = value => Number(value.toPrecision(4));
function ends(scale, a, b) {
  return [scale.back(a), scale.back(b)].map(rounded).sort((low, high) => low - high);
}

function nearest(x, y) {
  let best = null, least = CLOSE ** 2;
  for (let row = 0; row < size; row++) {
    if (failed[row]) continue;
    const square = (places.x[row] - x) ** 2 + (places.y[row] - y) ** 2;
    if (square < least) [best, least] = [row, square];
  }
  return best;
}

function showTip(row) {
  tip.hidden = row === null;
  if (row === null) return;
  const view = page.views[state.values], right = places.x[row] > plot.clientWidth / 2;
  const lines = [element("b", `Sample ${nameOf(row)}`), picture(row, "small")];
  const name = k => page.classes[k];
  if (page.labels) lines.push(element("span", `label ${name(columns.label[row])}`));
  lines.push(element("span", `prediction ${name(columns.prediction[row])}${columns.kind[row] && page.labels ? " (wrong)" : ""}`));
  [view.x, view.y].forEach((key, k) => lines.push(element("span", `${view.names[k]} ${digits(columns[key][row])}`)));
  tip.replaceChildren(...lines.filter(Boolean));
  tip.style.left = right ? "" : `${places.x[row] + 12}px`;
  tip.style.right = right ? `${plot.clientWidth - places.x[row] + 12}px` : "";
  tip.style.top = `${Math.max(places.y[row] - 40, 0)}px`;
}

function ring(row, name) {
  return svg("circle", {class: name, cx: places.x[row], cy: places.y[row], r: name === "pinned" ? 9 : 5});
}

function drawRings() {
  const layer = byId("rings");
  if (!layer) return;
  const on = row => !Number.isNaN(places.x[row]);
  layer.replaceChildren(...[...selected].filter(on).slice(0, 2000).map(row => ring(row, "selected")));
  const row = rowOf(state.select);
  if (row !== null && on(row)) layer.append(ring(row, "pinned"));
}

function drawBrush() {
  const layer = byId("brush"), view = page.views[state.values], scale = scales();
  layer.replaceChildren();
  const [x, y] = [state.ranges[view.x], state.ranges[view.y]];
  if (x || y) {
    const {width, height} = plotSize();
    const at = (scale, value, edge) => Number.isFinite(value) && !(scale.log && value <= 0) ? scale.of(value) : edge;
    const [a, b] = [at(scale.x, x?.[0] ?? NaN, MARGIN.left), at(scale.x, x?.[1] ?? NaN, width - MARGIN.right)];
    const [c, d] = [at(scale.y, y?.[1] ?? NaN, MARGIN.top), at(scale.y, y?.[0] ?? NaN, height - MARGIN.bottom)];
    layer.append(svg("rect", {class: "brush", x: a, y: c, width: Math.max(b - a, 0), height: Math.max(d - c, 0)}));
  }
  if (state.lasso) {
    const points = state.lasso.split(" ").map(pair => pair.split(",").map(Number));
    layer.append(svg("polygon", {class: "brush", points: points.map(([u, v]) => `${scale.x.of(u)},${scale.y.of(v)}`).join(" ")}));
  }
}

function drawDrag() {
  const layer = byId("brush"), {corners} = drag, [a, b] = [corners[0], corners.at(-1)];
  const shape = mode === "lasso"
    ? svg("polygon", {class: "brush", points: corners.map(pair => pair.join(",")).join(" ")})
    : svg("rect", {class: "brush", x: Math.min(a[0], b[0]), y: Math.min(a[1], b[1]), width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1])});
  layer.replaceChildren(shape);
}

function finish({corners}) {
  const [a, b] = [corners[0], corners.at(-1)], view = page.views[state.values], scale = scales();
  const [x, y] = [ends(scale.x, a[0], b[0]), ends(scale.y, a[1], b[1])];
  if (mode === "zoom") {
    zoomed = [x.map(scale.x.place), y.map(scale.y.place)];
    drawPlot();
  } else if (mode === "box") {
    update({lasso: "", ranges: {[view.x]: x, [view.y]: y}});
  } else {
    const step = Math.ceil(corners.length / MOST_CORNERS);
    const kept = corners.filter((_, k) => k % step === 0);
    const lasso = kept.map(([u, v]) => `${rounded(scale.x.back(u))},${rounded(scale.y.back(v))}`).join(" ");
    update({lasso, ranges: {[view.x]: null, [view.y]: null}});
  }
}

function clearBrush() {
  const view = page.views[state.values];
  update({lasso: "", ranges: {[view.x]: null, [view.y]: null}});
}

const at = event => {
  const box = plot.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

// Samples in the order of the horizontal axis, for the arrow keys.
function step(by) {
  const values = columns[page.views[state.values].x], seen = [];
  for (let row = 0; row < size; row++) if (!failed[row] && !Number.isNaN(places.x[row])) seen.push(row);
  seen.sort((a, b) => values[a] - values[b]);
  if (!seen.length) return;
  const now = seen.indexOf(rowOf(state.select));
  const row = seen[now === -1 ? 0 : Math.min(Math.max(now + by, 0), seen.length - 1)];
  update({select: String(columns.index[row])});
  showTip(row);
}

function listenToPlot() {
  plot.addEventListener("pointerdown", event => {
    if (event.button) return;
    drag = {corners: [at(event)], moved: false};
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", event => {
    const here = at(event);
    if (!drag) return showTip(nearest(...here));
    const [x, y] = drag.corners.at(-1);
    if (Math.hypot(here[0] - x, here[1] - y) < 3) return;
    if (mode !== "lasso") drag.corners.length = 1;
    drag.corners.push(here);
    drag.moved ||= Math.hypot(here[0] - drag.corners[0][0], here[1] - drag.corners[0][1]) > 5;
    showTip(null);
    if (drag.moved) drawDrag();
  });
  plot.addEventListener("pointerup", event => {
    const done = drag;
    drag = null;
    if (!done) return;
    if (done.moved) return finish(done);
    const row = nearest(...at(event));
    if (row !== null) update({select: String(columns.index[row])});
  });
  plot.addEventListener("pointercancel", () => { drag = null; drawBrush(); });
  plot.addEventListener("pointerleave", () => showTip(null));
  plot.addEventListener("dblclick", zoomOut);
  plot.addEventListener("blur", () => showTip(null));
  plot.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowLeft: -1, PageUp: 50, PageDown: -50}[event.key];
    if (event.key === "Escape") {
      if (state.select) update({select: ""});
      else clearBrush();
      showTip(null);
    } else if (by) {
      event.preventDefault();
      step(by);
    }
  });
  byId("zoom-out").addEventListener("click", zoomOut);
  byId("modes").addEventListener("change", event => { mode = event.target.value; });
  new ResizeObserver(() => { if (plot.clientWidth !== canvas.clientWidth || canvas.width !== Math.floor(plot.clientWidth * devicePixelRatio)) drawPlot(); }).observe(plot);
}

function zoomOut() {
  if (zoomed === null) return;
  zoomed = null;
  drawPlot();
}
