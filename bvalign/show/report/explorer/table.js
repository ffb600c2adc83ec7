// The table of samples: AG Grid shows the rows that pass the filters, sorts and selects them.
const selected = new Set(), SORTED_BY = page.labels ? "bias_sq" : "variance";  // at first, the largest above
let grid = null;

function columnOf([key, {title, unit, kind}]) {
  const values = columns[key], number = kind === "number" && key !== "index";
  const made = {colId: key, headerName: title, sort: key === SORTED_BY ? "desc" : undefined, headerTooltip: kind === "number" ? unit : undefined, flex: 1,
    minWidth: Math.min(Math.max(84, 46 + 7.5 * title.length), 190)};
  if (kind === "class") return {...made, minWidth: 108, valueGetter: ({data}) => page.classes[values[data.row]]};
  const comparator = (a, b, {data: {row: i}}, {data: {row: j}}) => order(values[i], values[j]);
  return {...made, comparator, valueGetter: ({data}) => values[data.row], valueFormatter: ({data}) => shownValue(key, data.row), type: number || key === "index" ? "rightAligned" : undefined, cellClass: "ag-right-aligned-cell number"};
}

// NaN is the smallest, so that it does not stand above the largest values.
function order(a, b) {
  if (a !== a || b !== b) return (a === a) - (b === b);
  return a - b;
}

function columnDefinitions() {
  const found = Object.entries(page.seen).filter(([key]) => key !== "correct").map(columnOf);
  if (page.picture) {
    const image = page.picture === "image";
    found.splice(1, 0, {colId: "picture", headerName: page.picture, sortable: false, flex: image ? 0 : 3, width: 76, minWidth: image ? 76 : 280,
      cellRenderer: ({data}) => picture(data.row, "small"), valueGetter: ({data}) => image ? columns.index[data.row] : texts()[data.row]});
  }
  return found;
}

function makeTable() {
  const rows = new Array(size);
  for (let row = 0; row < size; row++) rows[row] = {row};
  const wrong = row => page.labels && columns.kind[row] === 1;
  const theme = agGrid.themeQuartz.withParams({
    backgroundColor: "var(--back)", foregroundColor: "var(--ink)", borderColor: "var(--line)", chromeBackgroundColor: "var(--card)",
    headerTextColor: "var(--ink)", accentColor: "var(--correct)", fontFamily: "inherit", fontSize: 13, spacing: 5,
    selectedRowBackgroundColor: "color-mix(in srgb, var(--correct) 14%, transparent)", browserColorScheme: "inherit",
  });
  grid = agGrid.createGrid(byId("table"), {
    theme, rowData: rows, columnDefs: columnDefinitions(), getRowId: ({data}) => String(data.row),
    defaultColDef: {sortable: true, resizable: true, suppressHeaderMenuButton: true},
    rowSelection: {mode: "multiRow", selectAll: "filtered", enableClickSelection: false},
    selectionColumnDef: {pinned: "left", width: 44, suppressHeaderMenuButton: true},
    rowHeight: page.picture === "image" ? 44 : 40, headerHeight: 36, animateRows: false, ensureDomOrder: true,
    tooltipShowDelay: 400,
    overlayNoRowsTemplate: "<span>No sample passes the filters.</span>",
    rowClassRules: {wrong: ({data}) => wrong(data.row), pinned: ({data}) => String(columns.index[data.row]) === state.select},
    isExternalFilterPresent: () => filtered,
    doesExternalFilterPass: ({data}) => failed[data.row] === 0,
    onRowClicked: ({data}) => openRow(data.row),
    onCellKeyDown: ({event, data}) => event.key === "Enter" && openRow(data.row),
    onSortChanged: toTop,
    onSelectionChanged: ({api}) => {
      selected.clear();
      for (const {row} of api.getSelectedRows()) selected.add(row);
      showExport();
      drawRings();
    },
    onFirstDataRendered: () => {
      revealInTable(rowOf(state.select));
      document.body.dataset.usableAfter = Math.round(performance.now());  // milliseconds since navigation
    },
  });
}

let opening = false;
function openRow(row) {
  opening = true;  // the row is in sight already
  update({select: String(columns.index[row])});
  opening = false;
}

// Rows that are drawn later have their class from rowClassRules; to draw rows again takes the focus.
function revealInTable(row) {
  if (!grid) return;
  for (const made of document.querySelectorAll("#table .ag-row")) {
    made.classList.toggle("pinned", made.getAttribute("row-id") === String(row));
  }
  if (row !== null && !opening && failed[row] === 0) grid.ensureNodeVisible(grid.getRowNode(String(row)), "middle");
}

function toTop() {
  if (grid.getDisplayedRowCount()) grid.ensureIndexVisible(0, "top");
}

function filterTable() {
  if (grid) {
    grid.onFilterChanged();
    toTop();
  }
  showExport();
}

function chosenRows() {
  const rows = [];
  grid?.forEachNodeAfterFilterAndSort(({data}) => (!selected.size || selected.has(data.row)) && rows.push(data.row));
  return rows;
}

function showExport() {
  let number = numShown;
  if (selected.size) number = [...selected].filter(isShown).length;
  byId("export").textContent = `Save ids of ${many(number)} ${selected.size ? "selected" : "shown"} (csv)`;
}

const quoted = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

// The columns are those of samples.csv, and the names of the classes; rows stand as in the table.
function csv() {
  const cells = Object.keys(page.seen).map(key => [key, row => String(columns[key][row])]);
  if (page.names) cells.splice(1, 0, ["sample", row => quoted(page.names[row])]);
  const named = page.classes.some((name, k) => name !== String(k)) ? Object.keys(page.seen) : [];
  for (const key of named.filter(key => page.seen[key].kind === "class")) {
    cells.push([`${key}_name`, row => quoted(page.classes[columns[key][row]])]);
  }
  const lines = chosenRows().map(row => cells.map(([, text]) => text(row)).join(","));
  return [cells.map(([key]) => key).join(","), ...lines, ""].join("\n");
}

byId("export").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  link.download = "selected-samples.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
