// Histograms that filter: drag over one, or write the ends below it.
const BARS = 40;
const DECADES = 14;

class Histogram {
  constructor(box) {
    this.name = box.dataset.column;
    this.svg = box.querySelector("svg");
    this.inputs = [...box.querySelectorAll("input")];
    this.log = page.seen[this.name].is === "positive";
    const values = columns[this.name], place = this.log ? Math.log10 : value => value;
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      const at = place(value);
      if (at > high && at < Infinity) high = at;
      if (at < low && at > -Infinity) low = at;
    }
    if (page.seen[this.name].is === "proportion") [low, high] = [Math.min(low, 0), 1];
    if (this.log) low = Math.max(low, high - DECADES);
    if (!(low < high)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
    Object.assign(this, {low, high, place, bars: new Uint8Array(size)});
    for (let row = 0; row < size; row++) {  // zero has no logarithm and lies in the first bar
      this.bars[row] = Math.min(Math.max(Math.floor((place(values[row]) - low) / (high - low) * BARS), 0), BARS - 1);
    }
    const marks = box.querySelectorAll(".ends span");
    [low, high].forEach((end, k) => marks[k].textContent = (this.log && !k ? "≤ " : "") + tickText(Number(this.value(end).toPrecision(2)), this.log));
    this.all = this.heights(() => true);
    this.listen();
  }

  value(at) { return this.log ? 10 ** at : at; }

  heights(wanted) {
    const counts = new Uint32Array(BARS);
    for (let row = 0; row < size; row++) if (wanted(row)) counts[this.bars[row]]++;
    return counts;
  }

  listen() {
    const at = event => Math.min(Math.max((event.clientX - this.svg.getBoundingClientRect().left) / this.svg.clientWidth, 0), 1);
    const value = part => rounded(this.value(this.low + part * (this.high - this.low)));
    let from = null;
    this.svg.addEventListener("pointerdown", event => {
      from = at(event);
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", event => from !== null && this.showRange(Math.min(from, at(event)), Math.max(from, at(event))));
    this.svg.addEventListener("pointercancel", () => { from = null; this.draw(); });
    this.svg.addEventListener("pointerup", event => {
      const [low, high] = [Math.min(from, at(event)), Math.max(from, at(event))];
      from = null;
      const ends = [low <= 0 ? -Infinity : value(low), high >= 1 ? Infinity : value(high)];
      update({ranges: {[this.name]: high - low < 0.02 ? null : ends}});
    });
    this.inputs.forEach(input => input.addEventListener("change", () => {
      const [low, high] = this.inputs.map(({value}) => value === "" ? NaN : Number(value));
      update({ranges: {[this.name]: [Number.isNaN(low) ? -Infinity : low, Number.isNaN(high) ? Infinity : high]}});
    }));
  }

  showRange(low, high) {
    const brush = this.svg.querySelector(".brush");
    brush.setAttribute("x", low * BARS);
    brush.setAttribute("width", Math.max(high - low, 0) * BARS);
  }

  draw() {
    const own = bitOf[this.name], most = Math.sqrt(Math.max(...this.all));
    const bars = counts => Array.from(counts, (count, k) => count ? `M${k + 0.05} 20v${-20 * Math.sqrt(count) / most}h.9V20z` : "").join("");
    this.svg.querySelector(".all").setAttribute("d", bars(this.all));
    this.svg.querySelector(".in").setAttribute("d", bars(this.heights(row => (failed[row] & ~own) === 0)));
    const ends = state.ranges[this.name] ?? OPEN;
    const part = (value, edge) => Number.isFinite(value) ? Math.min(Math.max((this.place(value) - this.low) / (this.high - this.low), 0), 1) : edge;
    this.showRange(part(ends[0], 0), state.ranges[this.name] ? part(ends[1], 1) : 0);
    this.inputs.forEach((input, k) => {
      if (input !== document.activeElement) input.value = Number.isFinite(ends[k]) ? ends[k] : "";
    });
  }
}

const histograms = [...document.querySelectorAll(".histogram")].map(box => new Histogram(box));
