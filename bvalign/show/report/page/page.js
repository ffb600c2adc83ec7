// Marks the section of the contents that is read, and opens what is folded for a link or the printer.
"use strict";
(() => {
const entries = new Map([...document.querySelectorAll("#contents a")].map(
  link => [link.getAttribute("href").slice(1), link]));
const seen = new Set();
const mark = new IntersectionObserver(changes => {
  for (const {target, isIntersecting} of changes) {
    if (isIntersecting) seen.add(target.id);
    else seen.delete(target.id);
  }
  const now = [...entries.keys()].find(key => seen.has(key));
  if (!now) return;
  for (const [key, link] of entries) {
    if (key === now) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const link = entries.get(now), bar = link.closest("nav");
  bar.scrollTo({left: link.offsetLeft - bar.clientWidth / 2});
}, {rootMargin: "-25% 0px -74% 0px"});  // what crosses a line in the upper part of the window
for (const key of entries.keys()) mark.observe(document.getElementById(key));

const appendix = document.getElementById("appendix");
function openFor() {
  const target = location.hash.includes("=") ? null : document.getElementById(location.hash.slice(1));
  if (!target || !appendix.contains(target)) return;
  appendix.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", openFor);
openFor();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
