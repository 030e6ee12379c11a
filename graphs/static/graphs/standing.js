// What the head of a graph's page tells: the graph's own state, how long it took, and its components by state.
import { inWords, showTimes } from "../scheduler/times.js";

const OVER = ["completed", "errored", "cancelled"];
const BAR = ["completed", "errored", "cancelled", "skipped", "running"];

export function showGraph(graph) {
  const badge = document.getElementById("graph-state");
  badge.dataset.state = badge.textContent = graph.state;
  document.getElementById("graph-reason").textContent = graph.reason;
  document.getElementById("graph-paused").hidden = !graph.paused_at;
  const attention = document.getElementById("graph-attention");
  attention.hidden = !graph.needs_attention;
  attention.querySelector("b").textContent = graph.needs_attention;
  for (const form of document.querySelectorAll("#graph-actions form")) form.hidden = !offered(graph)[form.dataset.verb];
  showTook(document.getElementById("graph-took"), graph);
}

/** The graph after an event of its own, as far as the event tells. */
export function after(graph, { name, message, at }) {
  const state = name.replace("graph.", "");
  if (state === "paused" || state === "unpaused") return { ...graph, paused_at: state === "paused" ? at : null };
  if (!["running", ...OVER].includes(state)) return graph;
  const ended = OVER.includes(state) ? at : null;
  return { ...graph, state, reason: message, started_at: graph.started_at ?? at, ended_at: ended };
}

/** Which verbs make sense for a graph as it stands. */
function offered({ state, paused_at: paused }) {
  const over = OVER.includes(state);
  return { cancel: !over, pause: !over && !paused, unpause: !over && paused, resume: over && state !== "completed" };
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

export function showCounts(components) {
  const counts = {};
  for (const { state } of components.values()) counts[state] = (counts[state] ?? 0) + 1;
  for (const key of document.querySelectorAll(".key")) {
    key.hidden = !counts[key.dataset.state];
    key.querySelector("b").textContent = counts[key.dataset.state] ?? 0;
  }
  showBar(document.getElementById("graph-progress"), counts, components.size - (counts.exists ?? 0));
}

function showBar(bar, counts, whole) {
  let before = 0;
  for (const [index, state] of BAR.entries()) {
    const part = bar.children[index] ?? bar.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
    const share = whole ? (100 * (counts[state] ?? 0)) / whole : 0;
    part.dataset.state = state;
    part.setAttribute("x", `${before}%`);
    part.setAttribute("width", `${share}%`);
    part.setAttribute("height", "100%");
    before += share;
  }
  bar.setAttribute("aria-valuemax", whole);
  bar.setAttribute("aria-valuenow", counts.completed ?? 0);
}
