// The same graph as a table, for those who cannot use the picture.
import { Rows } from "./rows.js";

const ROW_PX = 34;

export class List {
  constructor(frame, onSelect) {
    this.needs = new Map();
    this.rows = new Rows(frame, { height: ROW_PX, make, fill: (row, one) => this.fill(row, one) });
    frame.addEventListener("click", ({ target }) => {
      const row = target.closest("[data-id]");
      if (row) onSelect(row.dataset.id);
    });
  }

  /** Takes in who waits for whom. */
  build(edges) {
    this.needs = new Map();
    for (const [source, target] of edges) {
      if (!this.needs.has(target)) this.needs.set(target, []);
      this.needs.get(target).push(source);
    }
  }

  show(components) {
    this.rows.show(components);
  }

  fill(row, { id, state, provider, attempt, reason }) {
    const [name, badge, via, number, needs, why] = row.children;
    row.dataset.id = id;
    set(name.firstChild, id);
    set(badge.firstChild, state);
    badge.firstChild.dataset.state = state;
    set(via, provider || "–");
    set(number, attempt || "–");
    set(needs, listed(this.needs.get(id) ?? []));
    set(why, reason ?? "");
    why.title = reason ?? "";
  }
}

function make() {
  const row = document.createElement("div");
  row.className = "list-row";
  for (const kind of ["", "", "", "number", "quiet", "reason"]) {
    const cell = document.createElement("span");
    cell.className = kind;
    cell.setAttribute("role", "cell");
    row.append(cell);
  }
  row.children[0].append(Object.assign(document.createElement("button"), { type: "button", className: "link" }));
  row.children[1].append(Object.assign(document.createElement("span"), { className: "state" }));
  return row;
}

function listed(names) {
  if (!names.length) return "–";
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
}

function set(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}
