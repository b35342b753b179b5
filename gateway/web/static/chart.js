"use strict";
// What the chart shows at one place: time, lowest and highest value. Without this there is the table below it.
const figure = document.getElementById("chart");
const readout = document.getElementById("readout");

if (figure && readout) {
  const columns = figure.dataset.columns.split(";");
  const decimals = figure.dataset.decimals === "" ? null : Number(figure.dataset.decimals);
  const words = (text) => {
    const value = Number(text);
    const shown = decimals === null ? String(value) : value.toFixed(decimals);
    return shown.replace("-", "\u2212").replace(".", figure.dataset.mark);
  };
  let place = columns.length - 1;

  const show = (svg) => {
    const facts = svg.dataset;
    const start = Number(facts.start);
    const span = Number(facts.end) - start;
    const at = new Date(start + (span * (place + 0.5)) / columns.length + Number(figure.dataset.offset));
    const time = at.toISOString().slice(span > 172800000 ? 5 : 11, 16).replace("T", " ");
    const found = columns[place] ? columns[place].split(",") : null;
    const value = found ? found.map(words).join(" \u2026 ") + "\u00a0" + figure.dataset.unit : figure.dataset.gap;
    readout.textContent = time + "   " + value;
    const left = Number(facts.left) + ((Number(facts.right) - Number(facts.left)) * (place + 0.5)) / columns.length;
    let line = svg.querySelector(".cursor");
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("class", "cursor");
      svg.append(line);
    }
    line.setAttribute("d", "M" + left + " " + facts.top + "V" + facts.bottom);
  };

  for (const svg of figure.querySelectorAll("svg.ac")) {
    const move = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
      const share = (x - Number(svg.dataset.left)) / (Number(svg.dataset.right) - Number(svg.dataset.left));
      place = Math.min(columns.length - 1, Math.max(0, Math.floor(share * columns.length)));
      show(svg);
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
  }
  figure.tabIndex = 0;
  figure.setAttribute("aria-describedby", "readout");
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15 }[event.key];
    if (!step) return;
    event.preventDefault();
    place = Math.min(columns.length - 1, Math.max(0, place + step));
    readout.setAttribute("aria-live", "polite");
    for (const svg of figure.querySelectorAll("svg.ac")) if (svg.getBoundingClientRect().width) show(svg);
  });
}
