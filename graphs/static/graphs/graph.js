// The page of one graph: fetches the whole picture once and then follows the events of its components, which are
// numbered: none is shown twice, and none that came while the picture was fetched is lost.
import { onEvent } from "../scheduler/events.js";
import { Gantt } from "./gantt.js";
import { ways } from "./grouping.js";
import { List } from "./list.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { after, showCounts, showGraph } from "./standing.js";
import { View } from "./view.js";

const AGAIN_MS = 3000;
const APART_MS = 1000;
const page = document.getElementById("graph");
const note = document.getElementById("drawing-note");
const groupBy = document.getElementById("group-by");
const find = document.getElementById("find");
const components = new Map();
const picture = new Picture(document.getElementById("drawing"), select, open);
const list = new List(document.getElementById("list"), select);
const panel = new Panel(document.getElementById("about"), page.dataset, { select, close: () => select(null), toggle });
const gantt = new Gantt(document.getElementById("time"), select);
const view = new View({ graph: () => picture.drawing.fit(), list: showList, time: showList });
const early = [];
let graph = null;
let edges = [];
let number = 0;
let shape = "";
let onlyState = null;
let selected = null;
let fetching = false;
let timer = 0;
let fetchedAt = -APART_MS;
let repaint = 0;

function fetchSoon() {
  timer ||= setTimeout(fetchAll, Math.max(0, fetchedAt + APART_MS - performance.now()));
}

async function fetchAll() {
  fetchedAt = performance.now();
  fetching = true;
  const answer = await fetch(page.dataset.drawing).catch(() => null);
  const whole = answer?.ok ? await answer.json().catch(() => null) : null;
  fetching = false;
  timer = 0;
  if (!whole) {
    timer = setTimeout(fetchAll, AGAIN_MS);
    return;
  }
  take(whole);
  early.splice(0).forEach(follow);
  await showShape();
  panel.again();
}

function take(whole) {
  edges = whole.edges;
  number = whole.number;
  components.clear();
  for (const one of whole.components) components.set(one.id, one);
  graph = whole.graph;
  showGraph(graph);
  showCounts(components);
}

// The picture is laid out again only where components or edges are not those that it shows.
async function showShape() {
  const all = [...components.values()];
  const now = JSON.stringify([all.map(({ id, type, group }) => [id, type, group]), edges]);
  if (now === shape) {
    picture.refresh(components);
    return showList();
  }
  shape = now;
  list.build(edges);
  showList();
  await draw(view.by);
  note.textContent = components.size ? "" : "This graph has nothing to do.";
  if (view.component) select(view.component);
  performance.mark("graph drawn");
}

async function draw(by) {
  const all = [...components.values()];
  const drawn = picture.show(components, edges, by, page.dataset);
  groupBy.replaceChildren(...ways(all, edges).map(([value, words]) => new Option(words, value)));
  groupBy.value = picture.by;
  await drawn;
  if (filtering()) picture.highlight(wanted);
}

function follow(event) {
  if (event.subject !== page.dataset.subject || event.data.number <= number) return;
  number = event.data.number ?? number;
  const known = components.get(event.data.component);
  if (known && event.data.state) change(known, event.data, event.message, event.at);
  else if (known) panel.againFor(known.id);
  else {
    graph = after(graph, event);
    showGraph(graph);
    fetchSoon();
  }
}

function change(known, { state, attempt, needs_attention: attention }, reason, at) {
  const changed = { ...known, state, attempt, reason, needs_attention: attention };
  components.set(changed.id, changed);
  picture.update(known.state, changed);
  panel.againFor(changed.id);
  gantt.change(changed, at);
  repaint ||= requestAnimationFrame(() => {
    repaint = 0;
    showCounts(components);
    if (view.name === "list" || onlyState) showList();
    if (filtering()) picture.highlight(wanted);
  });
}

function filtering() {
  return Boolean(onlyState || find.value.trim());
}

function wanted(id) {
  const one = components.get(id);
  const words = find.value.trim().toLowerCase();
  return (!onlyState || one.state === onlyState) && (!words || id.toLowerCase().includes(words));
}

function applyFilter() {
  picture.highlight(wanted);
  showList();
}

function showList() {
  if (view.name === "time") gantt.show(wanted);
  if (view.name === "list") list.show([...components.values()].filter(({ id }) => wanted(id)));
}

function select(id) {
  const opens = Boolean(id) !== Boolean(selected);
  selected = id;
  view.component = id && !picture.isGroup(id) ? id : null;
  if (!id) panel.close();
  else if (picture.isGroup(id)) panel.group(picture.groups.get(id), components, picture.opened.has(id));
  else panel.component(id);
  document.getElementById("about").hidden = !id;
  if (opens) picture.drawing.resize();
  gantt.select(id);
  if (id) picture.point(id);
  else picture.drawing.unselect();
}

// Enter or a double click: a group is drawn by its members, of a component the panel gets the focus.
function open(id) {
  if (picture.isGroup(id)) toggle(id);
  else document.getElementById("about").focus();
}

async function toggle(id) {
  await picture.toggle(id);
  if (filtering()) picture.highlight(wanted);
  select(picture.opened.has(id) ? null : id);
}

function onlyShow(key) {
  if (!key) return;
  onlyState = onlyState === key.dataset.state ? null : key.dataset.state;
  document.querySelectorAll(".key").forEach((one) => one.setAttribute("aria-pressed", one.dataset.state === onlyState));
  applyFilter();
}

function findFirst() {
  const first = find.value.trim() && [...components.keys()].find(wanted);
  if (first) select(first);
}

find.addEventListener("input", applyFilter);
find.addEventListener("keydown", ({ key }) => key === "Enter" && findFirst());
groupBy.addEventListener("change", () => {
  view.by = groupBy.value;
  draw(groupBy.value);
});
document.getElementById("zoom-in").addEventListener("click", () => picture.drawing.zoom(1.25));
document.getElementById("zoom-out").addEventListener("click", () => picture.drawing.zoom(0.8));
document.getElementById("fit").addEventListener("click", () => picture.drawing.fit());
document.querySelector(".legend").addEventListener("click", ({ target }) => onlyShow(target.closest(".key")));
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && selected && !document.querySelector("dialog[open]")) select(null);
});
document.addEventListener("acted", fetchSoon);
onEvent((event) => (fetching || !graph ? early.push(event) : follow(event)));
fetchSoon();
