// One label after the other, by button or key. Verdicts are kept in the browser's storage under the
// data set's fingerprint, by index and label, so that a page written again finds them.
"use strict";
(() => {
const page = JSON.parse(document.getElementById("page-data").textContent), of = page.columns;
const number = of.index.length, $ = id => document.getElementById(id);
const percent = value => `${(100 * value).toFixed(1)}%`;
const KEYS = {k: "keep", r: "relabel", u: "unsure"};
const keyOf = row => `${of.index[row]}:${of.label[row]}`;
let verdicts = stored(), at = 0;

function stored() {
  try { return JSON.parse(localStorage.getItem(page.stored_as)) ?? {}; } catch { return {}; }
}

function store() {
  try { localStorage.setItem(page.stored_as, JSON.stringify(verdicts)); } catch { /* stays in this tab */ }
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function show() {
  const name = k => page.names[k], label = of.label[at], suggested = of.suggested[at];
  $("title").textContent = `Label ${at + 1} of ${number}: sample ${of.index[at]}`;
  $("picture").replaceChildren(picture(at));
  $("facts").replaceChildren();
  for (const [key, value, kind] of [["label", name(label), "given"], ["members suggest", name(suggested), "suggested"],
    ["label is wrong", percent(of.probability[at])],
    ...of.classes[at].map((k, place) => [name(k),
      `${percent(of.probs[at][place])}, ${of.votes[at][place]} of ${page.members} votes`])]) {
    $("facts").append(element("dt", key), element("dd", value, kind));
  }
  $("given").textContent = name(label);
  $("suggested").textContent = name(suggested);
  const verdict = verdicts[keyOf(at)];
  $("other").value = verdict?.verdict === "other" ? verdict.label : suggested;
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", button.dataset.verdict === verdict?.verdict);
  }
  $("back").disabled = at === 0;
  count();
}

function picture(row) {
  if (row < page.texts.length) return element("blockquote", page.texts[row]);
  if (row >= page.images) return element("p", "No image or text of this sample: its index and the numbers beside it say which one it is.", "soft");
  const made = element("div", "", "thumb sheet-0");  // a few hundred fit on one sheet
  made.style.setProperty("--row", Math.floor(row / page.per_row));
  made.style.setProperty("--column", row % page.per_row);
  made.role = "img";
  made.ariaLabel = `sample ${of.index[row]}`;
  return made;
}

function count() {
  const decided = rows().map(row => verdicts[keyOf(row)].verdict);
  const parts = [["keep", "kept"], ["relabel", "relabelled"], ["other", "given another class"], ["unsure", "unsure"]]
    .map(([verdict, word]) => [decided.filter(each => each === verdict).length, word])
    .filter(([some]) => some).map(([some, word]) => `${some} ${word}`);
  $("progress").value = decided.length;
  $("count").textContent = `${decided.length} of ${number} decided${parts.length ? ": " + parts.join(", ") : ""}` +
    (decided.length === number ? ". Done: export the csv." : "");
  $("export").disabled = decided.length === 0;
}

function rows() {
  return Array.from({length: number}, (_, row) => row).filter(row => keyOf(row) in verdicts);
}

function decide(verdict) {
  const label = {keep: of.label[at], relabel: of.suggested[at], other: Number($("other").value), unsure: null}[verdict];
  verdicts[keyOf(at)] = {verdict, label};
  store();
  move(1);
}

function move(step) {
  at = Math.min(Math.max(at + step, 0), number - 1);
  show();
}

function csv() {
  const cell = value => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
  const lines = rows().map(row => {
    const {verdict, label} = verdicts[keyOf(row)];
    return [of.index[row], page.names[of.label[row]], page.names[of.suggested[row]], verdict,
      label === null ? "" : page.names[label]].map(cell).join(",");
  });
  return ["index,label,suggested_label,verdict,new_label", ...lines].join("\n") + "\n";
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  link.download = page.file;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || !$("keys").checked && event.target.id !== "other") return;
  if (event.target.id === "other") {
    if (event.key === "Escape") $("other").blur();
    if (event.key !== "Enter") return;
    $("other").blur();
    decide("other");
  } else {
    const key = event.key.toLowerCase();
    if (key in KEYS) decide(KEYS[key]);
    else if (key === "o") $("other").focus();
    else if (key === "b" || key === "arrowleft") move(-1);
    else if (key === "s" || key === "arrowright") move(1);
    else if (key === "e" && !$("export").disabled) save();
    else return;
  }
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => decide(button.dataset.verdict));
}
$("back").addEventListener("click", () => move(-1));
$("skip").addEventListener("click", () => move(1));
$("export").addEventListener("click", save);
at = Math.max(0, Array.from({length: number}, (_, row) => row).findIndex(row => !(keyOf(row) in verdicts)));
show();
})();
