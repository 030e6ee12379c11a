// The run in time: a row for each component, with how long it waited after all that it needs, was being sent, and ran.
// Events are shown at once; moments that they do not tell, and the critical path, are fetched now and then.
import { Rows } from "./rows.js";
import { bars, extent, inOrder, spoken, ticks } from "./timing.js";

const ROW_PX = 26;
const FETCH_APART_MS = 3000;
const GROW_EVERY_MS = 250;
const SVG = "http://www.w3.org/2000/svg";

export class Gantt {
  constructor(frame, onSelect) {
    this.frame = frame;
    this.axis = document.getElementById("axis");
    this.note = document.getElementById("time-note");
    this.known = new Map();
    this.critical = new Set();
    this.wanted = () => true;
    this.selected = null;
    this.fetchedAt = -FETCH_APART_MS;
    this.timer = 0;
    this.rows = new Rows(frame, { height: ROW_PX, make, fill: (row, one) => this.fill(row, one) });
    frame.addEventListener("click", ({ target }) => {
      const row = target.closest("[data-id]");
      if (row) onSelect(row.dataset.id);
    });
    setInterval(() => this.grows() && this.paint(), GROW_EVERY_MS);
  }

  /** Comes into sight, or is to show other components. */
  show(wanted) {
    this.wanted = wanted;
    this.arrange();
    this.soon();
  }

  get inSight() {
    return !this.frame.hidden && !document.hidden;
  }

  grows() {
    return this.inSight && this.started && !this.ended;
  }

  /** Fetches all again, soon; not more than every few seconds. */
  soon() {
    if (!this.inSight) return;
    this.timer ||= setTimeout(() => this.fetch(), Math.max(0, this.fetchedAt + FETCH_APART_MS - performance.now()));
  }

  async fetch() {
    this.fetchedAt = performance.now();
    const answer = await fetch(this.frame.dataset.timeline).catch(() => null);
    this.timer = 0;
    if (!answer?.ok) return this.soon();
    const told = await answer.json();
    this.started = Date.parse(told.started_at) || 0;
    this.ended = Date.parse(told.ended_at) || 0;
    this.known = new Map(told.components.map((one) => [one.component_id, one]));
    this.critical = new Set(told.critical_path);
    this.arrange();
  }

  /** A component went into another state at a moment. */
  change({ id, state, attempt }, at) {
    const one = this.known.get(id);
    if (!one || !this.inSight) return;
    one.state = state;
    const last = one.attempts.at(-1);
    if (state === "running" && last?.number !== attempt) {
      one.attempts.push({ number: attempt, outcome: state, started_at: at, sent_at: null, ended_at: null });
    } else if (last && !last.ended_at && state !== "running") Object.assign(last, { outcome: state, ended_at: at });
    this.rows.soon();
    this.soon();
  }

  select(id) {
    this.selected = id;
    this.rows.soon();
  }

  arrange() {
    const shown = inOrder([...this.known.values()].filter(({ component_id: id }) => this.wanted(id)));
    this.note.replaceChildren(...legend(this.critical.size, this.started, this.ended));
    this.rows.show(shown);
    this.paint();
  }

  paint() {
    if (!this.inSight) return;
    this.span = extent([...this.known.values()], this.started, this.ended || Date.now());
    this.axis.replaceChildren(...ticks(this.span).map(tick));
    this.rows.soon();
  }

  fill(row, one) {
    const { component_id: id } = one;
    row.dataset.id = id;
    row.dataset.state = one.state;
    row.toggleAttribute("data-critical", this.critical.has(id));
    row.setAttribute("aria-selected", id === this.selected);
    const button = row.firstChild.firstChild;
    if (button.textContent !== id) button.textContent = id;
    const words = spoken(one, this.critical.has(id));
    const drawing = row.lastChild.firstChild;
    if (drawing.getAttribute("aria-label") !== words) {
      drawing.setAttribute("aria-label", words);
      row.title = `${id}: ${words}`;
    }
    const wanted = bars(one, this.span);
    while (drawing.childElementCount > wanted.length) drawing.lastChild.remove();
    while (drawing.childElementCount < wanted.length) drawing.append(document.createElementNS(SVG, "rect"));
    wanted.forEach((bar, index) => draw(drawing.children[index], bar));
  }
}

function draw(rect, { part, state, from, width }) {
  rect.dataset.part = part;
  rect.dataset.state = state;
  rect.setAttribute("x", `${from}%`);
  rect.setAttribute("width", `${width}%`);
  rect.setAttribute("y", part === "wait" ? 7 : 2);
  rect.setAttribute("height", part === "wait" ? 2 : 12);
}

function make() {
  const row = document.createElement("div");
  row.className = "time-row";
  const name = document.createElement("span");
  name.setAttribute("role", "cell");
  name.append(Object.assign(document.createElement("button"), { type: "button", className: "link" }));
  const place = document.createElement("span");
  place.setAttribute("role", "cell");
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("role", "img");
  place.append(drawing);
  row.append(name, place);
  return row;
}

function tick({ at, words }) {
  const mark = Object.assign(document.createElement("span"), { textContent: words });
  mark.style.left = `${at}%`;
  return mark;
}

function legend(critical, started, ended) {
  if (!started) return ["Nothing has started yet."];
  const swatch = (colour) => {
    const one = Object.assign(document.createElement("span"), { className: "swatch" });
    one.style.background = `var(--${colour})`;
    return one;
  };
  const path = `◆ the chain of ${critical} that ${ended ? "took until the end" : "takes longest so far"}`;
  return [path, swatch("line"), "ready, not started", swatch("amber"), "being sent", swatch("blue"), "running"];
}
