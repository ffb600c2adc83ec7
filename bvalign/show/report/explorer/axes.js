// Axes: from values to pixels and back, and where ticks stand.
const MARGIN = {left: 58, right: 10, top: 8, bottom: 42};
let zoomed = null;  // ends of both axes in places; null shows all

// An axis places values (a logarithm, or themselves) and maps places from its ends to pixels.
function axis(ends, log, from, to) {
  const place = log ? Math.log10 : value => value, value = log ? at => 10 ** at : at => at;
  const pixel = at => from + (at - ends[0]) / (ends[1] - ends[0]) * (to - from);
  return {ends, log, place, pixel, value,
    of: value => pixel(place(value)),
    back: at => value(ends[0] + (at - from) / (to - from) * (ends[1] - ends[0]))};
}

function scales() {
  const view = page.views[state.values], log = state.axes === "log";
  const [x, y] = zoomed ?? (log ? view.log : view.linear), {width, height} = plotSize();
  return {x: axis(x, log, MARGIN.left, width - MARGIN.right), y: axis(y, log, height - MARGIN.bottom, MARGIN.top)};
}

function plotSize() {
  return {width: byId("plot").clientWidth, height: byId("plot").clientHeight};
}

// Values of ticks: whole decades, or 1, 2 and 5 of them where few decades are seen.
function ticks({ends: [low, high], log}, most) {
  if (!log || high - low < 1.2) return evenTicks(low, high, log, most);
  const step = Math.ceil((high - low) / most), found = [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) found.push(10 ** power);
  return found;
}

function evenTicks(low, high, log, most) {
  const [from, to] = log ? [10 ** low, 10 ** high] : [low, high];
  const rough = (to - from) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
  const found = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to * (1 + 1e-9); k++) found.push(Number((k * step).toPrecision(10)));
  return found;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function tickText(value, log) {
  const power = Math.round(Math.log10(value));
  if (log && (power < -2 || power > 3) && Math.abs(value / 10 ** power - 1) < 1e-9) {
    return "10" + (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map(digit => RAISED[digit]).join("");
  }
  return Math.abs(value) < 1e-3 && value ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

function drawAxes(layer, scale, names) {
  const {width, height} = plotSize(), {left, right, top, bottom} = MARGIN;
  const text = (content, attributes) => {
    const made = svg("text", attributes);
    made.textContent = content;
    layer.append(made);
  };
  for (const value of ticks(scale.x, Math.max(3, Math.floor(width / 90)))) {
    const x = scale.x.of(value);
    layer.append(svg("line", {class: "grid", x1: x, x2: x, y1: top, y2: height - bottom}));
    text(tickText(value, scale.x.log), {x, y: height - bottom + 15, "text-anchor": "middle"});
  }
  for (const value of ticks(scale.y, Math.max(3, Math.floor(height / 60)))) {
    const y = scale.y.of(value);
    layer.append(svg("line", {class: "grid", x1: left, x2: width - right, y1: y, y2: y}));
    text(tickText(value, scale.y.log), {x: left - 6, y: y + 4, "text-anchor": "end"});
  }
  const middle = (top + height - bottom) / 2;
  text(names[0], {class: "name", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle"});
  text(names[1], {class: "name", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle"});
}
