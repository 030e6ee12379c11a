// The picture of a graph on a canvas. Changes of state are gathered and drawn once per frame, however many there are.
import cytoscape from "../vendor/cytoscape/cytoscape.esm.min.mjs";

const WIDTH = 176;
const HEIGHT = 46;
const LABEL_LENGTH = 23;
const TINY_BELOW = 0.3;
const ADDED_AT_ONCE = 400;
export const SIGNS = {
  waiting: "○", running: "▶", completed: "✓", errored: "✕", cancelled: "⊘", skipped: "↷", exists: "◇",
};
const TONES = {
  waiting: "grey", running: "blue", completed: "green", errored: "red", cancelled: "violet", skipped: "grey", exists: "grey",
};

export class Drawing {
  /** `onSelect(id)` is called with the node that the user selects, or null; `onOpen(id)` when one is to be opened. */
  constructor(container, onSelect, onOpen) {
    this.container = container;
    this.onOpen = onOpen;
    this.pending = new Map();
    this.frame = 0;
    this.turn = 0;
    this.moved = false;
    this.cy = cytoscape({
      container, style: style(), minZoom: 0.02, maxZoom: 2.5, boxSelectionEnabled: false, autoungrabify: true,
      selectionType: "single", hideEdgesOnViewport: true, textureOnViewport: true,
    });
    this.cy.on("select", "node", ({ target }) => onSelect(target.id()));
    this.cy.on("tap", ({ target }) => target === this.cy && onSelect(null));
    this.cy.on("dbltap", "node", ({ target }) => onOpen(target.id()));
    this.cy.on("zoom", () => this.showTiny());
    this.cy.on("dragpan pinchzoom scrollzoom", () => (this.moved = true));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.cy.style(style()));
    container.addEventListener("keydown", (key) => this.onKey(key));
  }

  /** Draws nodes (`id`, `state`, `name`, `below`, `group`) and edges (pairs of ids) anew, and shows all of it. */
  async show(nodes, edges, { worker, dagre }) {
    const turn = ++this.turn;
    const { positions, bends } = await layout(nodes.map(({ id }) => id), edges, worker, dagre);
    if (turn !== this.turn) return;
    const drawn = nodes.map((one) => ({ data: dataOf(one), position: positions[one.id] }));
    const lines = edges.map(([source, target], index) => line(source, target, positions, bends[index]));
    this.pending.clear();
    this.cy.elements().remove();
    await this.add([...drawn, ...lines], turn);
    if (turn !== this.turn) return;
    this.tiny = null;
    this.fit();
    this.showTiny();
  }

  // A part per frame: the page answers between two of them.
  async add(elements, turn) {
    for (let from = 0; from < elements.length && turn === this.turn; from += ADDED_AT_ONCE) {
      if (from) await new Promise(requestAnimationFrame);
      this.cy.batch(() => this.cy.add(elements.slice(from, from + ADDED_AT_ONCE)));
      if (!from) this.fit();
    }
  }

  /** Gives a node its new state, with the next frame. */
  update(node) {
    this.pending.set(node.id, node);
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.cy.batch(() => this.pending.forEach((one) => this.cy.getElementById(one.id).data(dataOf(one))));
      this.pending.clear();
    });
  }

  /** Fades everything of which `wanted(id)` is false. */
  highlight(wanted) {
    this.cy.batch(() => this.cy.nodes().forEach((node) => void node.toggleClass("faded", !wanted(node.id()))));
  }

  select(id) {
    const node = this.cy.getElementById(id);
    if (!node.selected()) {
      this.cy.nodes(":selected").unselect();
      node.select();
    }
    this.reveal(node);
  }

  unselect() {
    this.cy.nodes(":selected").unselect();
  }

  /** Takes the room that there is now; shows all of it as before unless the user has moved it. */
  resize() {
    if (!this.moved) return this.fit();
    this.cy.resize();
    this.reveal(this.cy.nodes(":selected"));
  }

  fit() {
    this.moved = false;
    this.cy.resize();
    this.cy.fit(undefined, 28);
    if (this.cy.zoom() > 1.1) this.cy.zoom(1.1), this.cy.center();
  }

  /** From afar, where words cannot be read, nodes are filled with the full colour of their state. */
  showTiny() {
    const tiny = this.cy.zoom() < TINY_BELOW;
    if (tiny === this.tiny) return;
    this.tiny = tiny;
    this.cy.batch(() => void this.cy.nodes().toggleClass("tiny", tiny));
  }

  zoom(factor) {
    this.moved = true;
    const at = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: at });
  }

  reveal(node) {
    if (node.empty()) return;
    const { x1, y1, x2, y2 } = this.cy.extent();
    const { x, y } = node.position();
    if (x < x1 || x > x2 || y < y1 || y > y2 || this.cy.zoom() < 0.3) {
      this.cy.animate({ center: { eles: node }, zoom: Math.max(this.cy.zoom(), 0.7), duration: 150 });
    }
  }

  onKey(key) {
    const moves = { ArrowLeft: "incomers", ArrowRight: "outgoers" };
    const selected = this.cy.nodes(":selected");
    let next = null;
    if (key.key in moves) next = selected.empty() ? this.cy.nodes()[0] : selected[moves[key.key]]("node")[0];
    else if (key.key === "ArrowUp" || key.key === "ArrowDown") next = this.beside(selected, key.key === "ArrowUp" ? -1 : 1);
    else if (key.key === "+" || key.key === "=") this.zoom(1.25);
    else if (key.key === "-") this.zoom(0.8);
    else if (key.key === "0") this.fit();
    else if (key.key === "Enter" && selected.nonempty()) this.onOpen(selected.id());
    else return;
    key.preventDefault();
    if (next) this.select(next.id());
  }

  /** The next node above (-1) or below (1) in the same column. */
  beside(selected, direction) {
    if (selected.empty()) return this.cy.nodes()[0];
    const { x, y } = selected.position();
    const column = this.cy.nodes().filter((node) => Math.abs(node.position("x") - x) < WIDTH / 2);
    const further = column.filter((node) => (node.position("y") - y) * direction > 1);
    return further.sort((a, b) => (a.position("y") - b.position("y")) * direction)[0];
  }
}

function dataOf({ id, state, name, below, group }) {
  const cut = name.length > LABEL_LENGTH ? `${name.slice(0, LABEL_LENGTH - 9)}…${name.slice(-8)}` : name;
  return { id, state, label: `${cut}\n${below}`, group: Boolean(group) };
}

// An edge that passes other columns goes through the bends which the layout keeps free for it. Cytoscape wants a bend
// told by how far along the straight line it is, and how far beside it.
function line(source, target, positions, bends) {
  const data = { id: `${source}\n${target}`, source, target };
  if (bends.length < 2) return { data };
  const from = { x: positions[source].x + WIDTH / 2, y: positions[source].y };
  const along = { x: positions[target].x - WIDTH / 2 - from.x, y: positions[target].y - from.y };
  const length = Math.hypot(along.x, along.y);
  const offsets = bends.map(({ x, y }) => ({ x: x - from.x, y: y - from.y }));
  const weights = offsets.map(({ x, y }) => (x * along.x + y * along.y) / length ** 2);
  const distances = offsets.map(({ x, y }) => (y * along.x - x * along.y) / length);
  return { data: { ...data, weights, distances }, classes: "bent" };
}

function layout(nodes, edges, address, dagre) {
  const worker = new Worker(address);
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (error) => reject(new Error(error.message));
    worker.postMessage({ dagre: new URL(dagre, location.href).href, nodes, edges, width: WIDTH, height: HEIGHT });
  }).finally(() => worker.terminate());
}

function style() {
  const page = getComputedStyle(document.body);
  const colour = (name) => page.getPropertyValue(`--${name}`).trim();
  const tone = (state, name) => [
    {
      selector: `node[state = "${state}"]`,
      style: { "background-color": colour(`${name}-bg`), "border-color": colour(name), color: colour(name) },
    },
    { selector: `node.tiny[state = "${state}"]`, style: { "background-color": colour(name) } },
  ];
  return [
    {
      selector: "node",
      style: {
        shape: "round-rectangle", width: WIDTH, height: HEIGHT, "border-width": 1.5, label: "data(label)",
        "text-wrap": "wrap", "text-valign": "center", "text-halign": "center", "line-height": 1.25, "font-size": 13,
        "font-family": page.fontFamily || "sans-serif", "min-zoomed-font-size": 5,
        "background-color": colour("surface"), "border-color": colour("line"), color: colour("text"),
      },
    },
    ...Object.entries(TONES).flatMap(([state, name]) => tone(state, name)),
    { selector: 'node[state = "running"]', style: { "border-width": 3 } },
    { selector: "node[?group]", style: { "border-width": 5, "border-style": "double", shape: "cut-rectangle" } },
    { selector: 'node[state = "skipped"], node[state = "exists"]', style: { "border-style": "dashed" } },
    {
      selector: "edge",
      style: {
        width: 1.4, "line-color": colour("edge"), "target-arrow-color": colour("edge"), "target-arrow-shape": "triangle",
        "arrow-scale": 0.8, "curve-style": "bezier", "source-endpoint": "90deg", "target-endpoint": "270deg",
      },
    },
    {
      selector: "edge.bent",
      style: {
        "curve-style": "round-segments", "segment-weights": "data(weights)", "segment-distances": "data(distances)",
        "segment-radii": 14, "edge-distances": "endpoints",
      },
    },
    { selector: "node:selected", style: { "border-width": 4, "border-color": colour("accent") } },
    { selector: ".faded", style: { opacity: 0.18 } },
  ];
}
