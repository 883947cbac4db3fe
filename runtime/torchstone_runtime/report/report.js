"use strict";
// Nothing here is needed to read a page: it sorts tables, and picks among mistakes. All text comes from the page itself.
const number = text => { const found = text.replace(/,/g, "").match(/^(?:below |[<>])?([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/); return found ? parseFloat(found[1]) : null; };
const words = new Intl.Collator("en", { numeric: true });

// A class sorts by its place among the labels, all else by what is shown.
const key = cell => cell.firstElementChild?.dataset.order ?? cell.textContent;

function order(first, second) {
  const a = number(first), b = number(second);
  return a !== null && b !== null ? a - b : words.compare(first, second);
}

for (const table of document.querySelectorAll("table:not(.matrix)")) {
  const body = table.tBodies[0], heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  if (!body || body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const upward = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", upward ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => order(key(a.cells[column]), key(b.cells[column])));
      body.append(...(upward ? rows : rows.reverse()));
    });
  });
}

function choice(label, values) {
  const box = document.createElement("label"), select = document.createElement("select");
  for (const value of ["", ...values]) select.append(new Option(value || "any", value));
  box.append(`${label} `, select);
  return [box, select];
}

for (const gallery of document.querySelectorAll(".gallery.mistakes")) {
  const figures = [...gallery.querySelectorAll("figure")];
  const among = key => [...new Set(figures.map(figure => figure.dataset[key]))].sort(words.compare);
  const [trueBox, truly] = choice("true class", among("true"));
  const [takenBox, taken] = choice("taken for", among("predicted"));
  const sureBox = document.createElement("label"), sure = document.createElement("input");
  Object.assign(sure, { type: "range", min: 0, max: 100, value: 0 });
  const count = document.createElement("output");
  sureBox.append("confidence at least ", sure);
  const bar = document.createElement("div");
  bar.className = "filter";
  bar.append(trueBox, takenBox, sureBox, count);
  gallery.before(bar);
  const show = () => {
    let shown = 0;
    for (const figure of figures) {
      const { true: is, predicted, confidence } = figure.dataset;
      figure.hidden = Boolean((truly.value && is !== truly.value) || (taken.value && predicted !== taken.value) || confidence * 100 < sure.value);
      shown += figure.hidden ? 0 : 1;
    }
    sure.setAttribute("aria-valuetext", `${sure.value}%`);
    count.textContent = `${sure.value}%: ${shown} of ${figures.length} shown`;
  };
  bar.addEventListener("input", show);
  show();
}
