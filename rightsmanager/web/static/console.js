"use strict";
/* Charts, copy buttons and live pages. Every page also works without this file. */

const SERIES = ["--link", "--off", "--bad"];

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function stamp(seconds, daily) {
  const text = new Date(seconds * 1e3).toISOString();
  return daily ? text.slice(0, 10) : text.slice(11, 16);
}

function axes(given) {
  const ink = color("--soft");
  const grid = { stroke: color("--line"), width: 1 };
  const times = (_, ticks) => ticks.map((tick) => stamp(tick, given.daily));
  const values = given.unit ? (_, ticks) => ticks.map((tick) => `${tick} ${given.unit}`) : undefined;
  return [
    { stroke: ink, grid, ticks: grid, values: times, space: given.daily ? 90 : 60 },
    { stroke: ink, grid, ticks: grid, values, size: 64 },
  ];
}

function series(given) {
  const bars = given.kind === "bars" ? uPlot.paths.bars({ size: [0.8, 48] }) : undefined;
  const lines = given.series.map((name, index) => ({
    label: name,
    stroke: color(SERIES[index % SERIES.length]),
    fill: bars ? color(SERIES[index % SERIES.length]) : undefined,
    width: 2,
    paths: bars,
    points: { show: !bars && given.x.length < 40 },
  }));
  const value = (_, seconds) => (seconds == null ? "" : stamp(seconds, given.daily));
  return [{ label: given.label, value }, ...lines];
}

function draw(element) {
  const given = JSON.parse(element.dataset.chart);
  element.replaceChildren();
  const options = {
    width: Math.max(240, element.clientWidth),
    height: 220,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
    axes: axes(given),
    series: series(given),
  };
  new uPlot(options, [given.x, ...given.y], element);
}

function drawAll() {
  document.querySelectorAll("[data-chart]").forEach(draw);
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Without HTTPS or permission: the text is selected, to be copied by hand.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
// A page does not poll in the background, nor while something in it is open or selected.
document.addEventListener("htmx:beforeRequest", (event) => {
  const isRead = document.querySelector("#live details[open]") || !getSelection().isCollapsed;
  if (document.hidden || isRead) event.preventDefault();
});
document.addEventListener("htmx:afterSettle", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) drawAll();
  width = innerWidth;
});
document.querySelectorAll("button[hidden][data-copy]").forEach((each) => (each.hidden = false));
drawAll();
