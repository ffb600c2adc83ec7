// One sample: its image or text, votes and statistics; and the cards of the galleries.
const panel = byId("sample");
const CARDS = [...document.querySelectorAll("button.card")];

function thumbnail(row, name) {
  const sheet = Math.floor(row / page.per_sheet), cell = row % page.per_sheet;
  const made = element("span", "", `thumb ${name} sheet-${sheet}`);
  made.style.setProperty("--row", Math.floor(cell / page.per_row));
  made.style.setProperty("--column", cell % page.per_row);
  made.role = "img";
  made.ariaLabel = `sample ${nameOf(row)}`;
  return made;
}

// The image or text of a sample; a word where the page has none of it.
function picture(row, name) {
  if (page.picture === "text") return element(name === "large" ? "blockquote" : "span", texts()[row], "text");
  if (page.picture !== "image") return null;
  return row < page.thumbnails ? thumbnail(row, name) : element("span", "no image here", "soft");
}

function showSample(row) {
  panel.replaceChildren();
  panel.dataset.index = row === null ? "" : columns.index[row];
  if (row === null) {
    panel.append(element("p", "Click a point or a row, or type an id, to see a sample here.", "soft"));
    return;
  }
  const facts = document.createElement("dl");
  for (const [key, said] of Object.entries(page.seen)) {
    if (key === "index" || key === "correct") continue;
    const value = element("dd", shownValue(key, row));
    if (said.kind === "number" && said.unit) value.append(" ", element("small", said.unit));
    if (key === "prediction" && page.labels && columns.kind[row]) value.append(" (wrong)");
    facts.append(element("dt", said.title), value);
  }
  panel.append(...[element("h3", `Sample ${nameOf(row)}`), picture(row, "large"), top ? votes(row) : null, facts].filter(Boolean));
}

function shownValue(key, row) {
  if (key === "index") return nameOf(row);
  const value = columns[key][row], {kind} = page.seen[key];
  if (kind === "class") return page.classes[value];
  if (kind === "flag") return value ? "yes" : "no";
  return Number.isInteger(value) ? String(value) : digits(value);
}

function votes(row) {
  const table = document.createElement("table"), from = row * top;
  const line = (tag, cells) => {
    const made = document.createElement("tr");
    made.append(...cells.map(text => element(tag, text)));
    table.append(made);
  };
  line("th", ["class", "mean probability", `votes of ${page.num_members}`]);
  let prob = 1, number = page.num_members;
  const has = columns.num_options ? columns.num_options[row] : page.classes.length;
  for (let k = from; k < from + Math.min(top, has); k++) {
    line("td", [page.classes[columns.classes[k]], percent(columns.probs[k]), columns.votes[k]]);
    prob -= columns.probs[k];
    number -= columns.votes[k];
  }
  if (top < has) line("td", ["all others", percent(Math.max(prob, 0)), number]);
  return table;
}

function showSelected() {
  const row = rowOf(state.select);
  showSample(row);
  drawRings();
  form.elements.select.value = state.select;
  for (const card of CARDS) card.setAttribute("aria-pressed", Number(card.dataset.row) === row && row !== null);
  revealInTable(row);
}

// The cards of a gallery are one stop of the Tab key; arrow keys go from one to the next.
for (const gallery of document.querySelectorAll(".gallery")) {
  const cards = [...gallery.querySelectorAll("button.card")];
  cards.forEach((card, place) => {
    card.tabIndex = place ? -1 : 0;
    card.addEventListener("click", () => {
      update({select: String(columns.index[card.dataset.row])});
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
