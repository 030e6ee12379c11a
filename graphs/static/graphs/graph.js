// The page of one graph: fetches the whole picture once and then follows the events of its components.
import { onEvent } from "../scheduler/events.js";
import { inWords, showTimes } from "../scheduler/times.js";
import { Drawing } from "./drawing.js";
import { List } from "./list.js";

const page = document.getElementById("graph");
const about = document.getElementById("about");
const note = document.getElementById("drawing-note");
const components = new Map();
const drawing = new Drawing(document.getElementById("drawing"), select);
const list = new List(document.getElementById("rows"), select);
let edges = [];
let shape = "";
let selected = null;
let onlyState = null;
let refetch = 0;
let repaint = 0;

onEvent(({ subject, name, data, message }) => {
  if (subject !== page.dataset.subject) return;
  if (data.state && components.has(data.component)) change(data, message);
  else fetchSoon();
}, fetchSoon);
wire();

function fetchSoon() {
  clearTimeout(refetch);
  refetch = setTimeout(fetchAll, 150);
}

async function fetchAll() {
  const answer = await fetch(page.dataset.drawing).catch(() => null);
  if (!answer?.ok) return setTimeout(fetchSoon, 3000);
  const whole = await answer.json();
  edges = whole.edges;
  components.clear();
  whole.components.forEach((one) => components.set(one.id, one));
  showGraph(whole.graph);
  showCounts();
  await showShape();
  whole.components.forEach(show);
  if (selected) tellAbout(selected);
}

// The picture is laid out again only where components or edges are not those that it shows.
async function showShape() {
  const now = JSON.stringify([[...components.keys()], edges]);
  if (now === shape) return;
  shape = now;
  list.build([...components.values()], edges);
  await drawing.show([...components.values()], edges, page.dataset);
  note.textContent = components.size ? "" : "This graph has nothing to do.";
}

function change({ component, state, attempt }, reason) {
  const changed = { ...components.get(component), state, attempt, reason };
  components.set(component, changed);
  show(changed);
  if (selected === component) tellAbout(component);
}

function show(component) {
  drawing.update(component);
  list.update(component);
  repaint ||= requestAnimationFrame(() => {
    repaint = 0;
    showCounts();
    applyFilter();
  });
}

function showGraph(graph) {
  const badge = document.getElementById("graph-state");
  badge.dataset.state = badge.textContent = graph.state;
  document.getElementById("graph-reason").textContent = graph.reason;
  if (graph.ended_at) document.getElementById("graph-actions")?.remove();
  showTook(document.getElementById("graph-took"), graph);
}

function showTook(took, { started_at: started, ended_at: ended }) {
  if (!started) return;
  if (!ended) {
    took.dataset.since = started;
    return showTimes();
  }
  delete took.dataset.since;
  const seconds = (Date.parse(ended) - Date.parse(started)) / 1000;
  took.textContent = seconds < 10 ? `${seconds.toFixed(1)} s` : inWords(seconds);
}

function showCounts() {
  const counts = {};
  for (const { state } of components.values()) counts[state] = (counts[state] ?? 0) + 1;
  for (const key of document.querySelectorAll(".key")) {
    key.hidden = !counts[key.dataset.state];
    key.querySelector("b").textContent = counts[key.dataset.state] ?? 0;
  }
  const whole = components.size - (counts.exists ?? 0);
  const order = ["completed", "errored", "cancelled", "skipped", "running"];
  const bar = document.getElementById("graph-progress");
  let before = 0;
  bar.replaceChildren(...order.map((state) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const share = whole ? (100 * (counts[state] ?? 0)) / whole : 0;
    part.dataset.state = state;
    part.setAttribute("x", `${before}%`);
    part.setAttribute("width", `${share}%`);
    part.setAttribute("height", "100%");
    before += share;
    return part;
  }));
  bar.setAttribute("aria-valuemax", whole);
  bar.setAttribute("aria-valuenow", counts.completed ?? 0);
}

function applyFilter() {
  const words = document.getElementById("find").value.trim().toLowerCase();
  const wanted = (id) => {
    const one = components.get(id);
    return one && (!onlyState || one.state === onlyState) && (!words || id.toLowerCase().includes(words));
  };
  drawing.highlight(wanted);
  list.filter(wanted);
}

function select(id) {
  selected = id;
  if (about.hidden === Boolean(id)) {
    about.hidden = !id;
    drawing.resize();
  }
  if (id) tellAbout(id);
  else drawing.unselect();
}

async function tellAbout(id) {
  const answer = await fetch(`${page.dataset.component}?${new URLSearchParams({ id })}`).catch(() => null);
  if (selected !== id || !answer?.ok) return;
  about.innerHTML = await answer.text();
  showTimes(about);
}

function wire() {
  document.getElementById("find").addEventListener("input", applyFilter);
  document.getElementById("zoom-in").addEventListener("click", () => drawing.zoom(1.25));
  document.getElementById("zoom-out").addEventListener("click", () => drawing.zoom(0.8));
  document.getElementById("fit").addEventListener("click", () => drawing.fit());
  document.getElementById("as-graph").addEventListener("click", () => view("graph"));
  document.getElementById("as-list").addEventListener("click", () => view("list"));
  document.querySelector(".legend").addEventListener("click", ({ target }) => onlyShow(target.closest(".key")));
  about.addEventListener("click", ({ target }) => {
    if (target.closest("[data-close]")) select(null);
    const go = target.closest("[data-go]");
    if (go) drawing.select(go.dataset.go);
  });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && selected && select(null));
}

function onlyShow(key) {
  if (!key) return;
  onlyState = onlyState === key.dataset.state ? null : key.dataset.state;
  document.querySelectorAll(".key").forEach((one) => one.setAttribute("aria-pressed", one.dataset.state === onlyState));
  applyFilter();
}

function view(name) {
  document.getElementById("canvas-frame").hidden = name !== "graph";
  document.getElementById("list").hidden = name !== "list";
  document.getElementById("as-graph").setAttribute("aria-pressed", name === "graph");
  document.getElementById("as-list").setAttribute("aria-pressed", name === "list");
  if (name === "graph") drawing.fit();
}

fetchSoon();
