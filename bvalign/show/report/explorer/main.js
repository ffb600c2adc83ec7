// Starts the page: first what is on the first screen, then the table, whose script is large.
let waiting = false;
function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    showAll();
  });
}

function showAll() {
  filter();
  fillForm();
  showCount();
  drawPlot();
  for (const histogram of histograms) histogram.draw();
  filterTable();
  showSelected();
}

function afterPaint(act) {
  requestAnimationFrame(() => setTimeout(act));
}

addEventListener("hashchange", () => {
  if (!location.hash.includes("=")) return;  // an anchor: the state stays
  readAddress();
  refresh();
  if (state.view) byId("samples")?.scrollIntoView();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawPlot());

if (location.hash.includes("=")) readAddress();
afterPaint(() => {
  if (plot) listenToPlot();
  showAll();
  afterPaint(() => {
    const library = document.createElement("script");
    library.textContent = byId("table-library").textContent;
    document.head.append(library);
    makeTable();
    showExport();
    if (state.view) byId("samples")?.scrollIntoView();
  });
});
