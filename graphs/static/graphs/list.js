// The same graph as a table, for those who cannot use the picture.
export class List {
  constructor(body, onSelect) {
    this.body = body;
    this.rows = new Map();
    body.addEventListener("click", ({ target }) => {
      const row = target.closest("tr");
      if (row) onSelect(row.dataset.id);
    });
  }

  build(components, edges) {
    const needs = new Map();
    for (const [source, target] of edges) needs.set(target, [...(needs.get(target) ?? []), source]);
    this.rows = new Map(components.map((one) => [one.id, row(one, needs.get(one.id) ?? [])]));
    this.body.replaceChildren(...this.rows.values());
  }

  update({ id, state, attempt, reason }) {
    const cells = this.rows.get(id)?.cells;
    if (!cells) return;
    const badge = cells[1].firstChild;
    if (badge.dataset.state !== state) badge.dataset.state = badge.textContent = state;
    cells[3].textContent = attempt || "–";
    cells[5].textContent = reason ?? "";
  }

  filter(wanted) {
    for (const [id, one] of this.rows) one.toggleAttribute("data-dim", !wanted(id));
  }
}

function row({ id, state, provider }, needs) {
  const element = document.createElement("tr");
  element.dataset.id = id;
  const name = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: id });
  const badge = Object.assign(document.createElement("span"), { className: "state", textContent: state });
  badge.dataset.state = state;
  for (const content of [name, badge, provider || "–", "", needs.join(", ") || "–", ""]) {
    element.insertCell().append(content);
  }
  element.cells[3].className = "number";
  element.cells[5].className = "reason";
  return element;
}
