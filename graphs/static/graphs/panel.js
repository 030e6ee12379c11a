// The panel beside the picture: one component as the server tells of it, or a group with its members by state.
import { showTimes } from "../scheduler/times.js";
import { STATES } from "./grouping.js";

const APART_MS = 500;
const MEMBERS_SHOWN = 200;

export class Panel {
  /** `act` holds what the panel's buttons do: `select(id)`, `close()`, `toggle(id)` of a group. */
  constructor(element, { component }, act) {
    this.element = element;
    this.address = component;
    this.shown = null;
    this.timer = 0;
    this.fetchedAt = -APART_MS;
    element.addEventListener("click", ({ target }) => {
      if (target.closest("[data-close]")) act.close();
      const go = target.closest("[data-go]");
      if (go) act.select(go.dataset.go);
      const group = target.closest("[data-toggle]");
      if (group) act.toggle(group.dataset.toggle);
    });
  }

  close() {
    this.shown = null;
    this.element.hidden = true;
  }

  async component(id) {
    clearTimeout(this.timer);
    this.timer = 0;
    this.shown = id;
    this.fetchedAt = performance.now();
    const answer = await fetch(`${this.address}?${new URLSearchParams({ id })}`).catch(() => null);
    if (this.shown !== id || !answer?.ok) return;
    const fresh = await answer.text();
    if (this.shown !== id) return;
    this.element.hidden = false;
    if (this.html !== `${id}\n${fresh}`) this.replace(id, fresh);
    showTimes(this.element);
  }

  // What is open stays open, and the focus where it was, when the same component is told anew.
  replace(id, fresh) {
    const same = this.html?.startsWith(`${id}\n`);
    const open = same ? [...this.element.querySelectorAll("details[open]")].map((one) => one.dataset.part) : [];
    const focus = same && this.element.contains(document.activeElement) ? keyOf(document.activeElement) : null;
    this.element.innerHTML = fresh;
    this.html = `${id}\n${fresh}`;
    for (const one of this.element.querySelectorAll("details")) one.open ||= open.includes(one.dataset.part);
    if (focus) [...this.element.querySelectorAll("a, button, summary")].find((one) => keyOf(one) === focus)?.focus();
  }

  /** Tells of a component again, where it is the one that is shown; not more than twice a second. */
  againFor(id) {
    if (id !== this.shown || this.timer) return;
    this.timer = setTimeout(() => this.component(id), Math.max(0, this.fetchedAt + APART_MS - performance.now()));
  }

  again() {
    if (this.shown) this.againFor(this.shown);
  }

  group({ id, title, members }, components, open) {
    this.shown = null;
    this.html = "";
    this.element.hidden = false;
    this.element.replaceChildren(head(title), count(members.length), opener(id, open), ...parts(members, components));
  }
}

function head(name) {
  const title = document.createElement("h2");
  const close = Object.assign(document.createElement("button"), { type: "button", className: "plain more", textContent: "✕" });
  close.dataset.close = "";
  close.setAttribute("aria-label", "Close");
  title.append(name, " ", close);
  return title;
}

function count(size) {
  return Object.assign(document.createElement("p"), { className: "note", textContent: `${size} components` });
}

function opener(id, open) {
  const place = Object.assign(document.createElement("p"), { className: "note" });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.textContent = open ? "Draw as one" : "Draw each";
  button.dataset.toggle = id;
  place.append(button);
  return place;
}

function parts(members, components) {
  const names = new Map(STATES.map((state) => [state, []]));
  for (const id of members) names.get(components.get(id).state).push(id);
  return [...names].filter(([, ids]) => ids.length).flatMap(([state, ids]) => {
    const title = document.createElement("h3");
    const badge = Object.assign(document.createElement("span"), { className: "state", textContent: state });
    badge.dataset.state = state;
    title.append(badge, ` ${ids.length}`);
    const list = Object.assign(document.createElement("ul"), { className: "neighbours" });
    list.append(...ids.slice(0, MEMBERS_SHOWN).map(link));
    if (ids.length > MEMBERS_SHOWN) list.append(more(ids.length - MEMBERS_SHOWN));
    return [title, list];
  });
}

function link(id) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: id });
  button.dataset.go = id;
  item.append(button);
  return item;
}

function more(size) {
  return Object.assign(document.createElement("li"), { className: "quiet", textContent: `and ${size} more, in the list` });
}

function keyOf(element) {
  return element.getAttribute("href") ?? element.closest("form")?.getAttribute("action") ?? element.textContent;
}
