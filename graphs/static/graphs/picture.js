// What of a graph is drawn: its components, or groups of them that can be opened. Knows which node tells of which
// component, and keeps the counts of groups as components change, at a cost that does not grow with the graph.
import { Drawing, SIGNS } from "./drawing.js";
import { assign, between, STATES, stateOf, usual } from "./grouping.js";

export class Picture {
  /** `onSelect(id)`: a component or a group (`isGroup`) was selected; `onOpen(id)`: one is to be looked into. */
  constructor(container, onSelect, onOpen) {
    this.drawing = new Drawing(container, (id) => !this.silent && onSelect(id), onOpen);
    this.components = new Map();
    this.edges = [];
    this.by = null;
    this.opened = new Set();
    this.of = new Map();
    this.groups = new Map();
  }

  /** Draws all anew. `by` is the way to group; null for the usual one. */
  async show(components, edges, by, where) {
    const all = [...components.values()];
    Object.assign(this, { components, edges, where, by: by ?? usual(all, edges) });
    const { of, groups } = assign(all, edges, this.by);
    this.of = of;
    this.groups = groups;
    this.count();
    for (const id of this.opened) if (!groups.has(id)) this.opened.delete(id);
    await this.draw();
  }

  /** Shows the same components in the states that they have now. */
  refresh(components) {
    this.components = components;
    this.count();
    for (const id of new Set([...components.keys()].map((one) => this.drawnAs(one)))) this.drawing.update(this.node(id));
  }

  count() {
    for (const group of this.groups.values()) group.counts = countsOf(group.members, this.components);
  }

  draw() {
    const drawn = (id) => this.drawnAs(id);
    const ids = [...new Set([...this.components.keys()].map(drawn))];
    return this.drawing.show(ids.map((id) => this.node(id)), between(this.edges, drawn), this.where);
  }

  /** The node that tells of a component. */
  drawnAs(id) {
    const group = this.of.get(id);
    return group && !this.opened.has(group) ? group : id;
  }

  isGroup(id) {
    return this.groups.has(id);
  }

  /** A component became `after`; it was in the state `before`. Before the first drawing there is nothing to change. */
  update(before, after) {
    if (!this.components.has(after.id)) return;
    const group = this.groups.get(this.of.get(after.id));
    if (group && before !== after.state) {
      group.counts[before] -= 1;
      group.counts[after.state] = (group.counts[after.state] ?? 0) + 1;
    }
    this.drawing.update(this.node(this.drawnAs(after.id)));
  }

  node(id) {
    const group = this.groups.get(id);
    if (!group) {
      const { state, needs_attention: attention } = this.components.get(id);
      return { id, state, name: id, below: attention ? "! needs attention" : `${SIGNS[state] ?? "○"} ${state}` };
    }
    const counts = STATES.filter((state) => group.counts[state]);
    const below = counts.map((state) => `${SIGNS[state]} ${group.counts[state]}`).join("  ");
    return { id, state: stateOf(group.counts), name: `${group.name} × ${group.members.length}`, below, group: true };
  }

  /** Draws the members of a group, or again the group itself. */
  async toggle(id) {
    if (this.opened.has(id)) this.opened.delete(id);
    else this.opened.add(id);
    await this.draw();
  }

  /** Fades every node that tells of no component of which `wanted(id)` is true. */
  highlight(wanted) {
    const bright = new Set();
    for (const id of this.components.keys()) if (wanted(id)) bright.add(this.drawnAs(id));
    this.drawing.highlight((id) => bright.has(id));
  }

  /** Shows where a component or a group is, without telling that it was selected. */
  point(id) {
    this.silent = true;
    this.drawing.select(this.isGroup(id) ? id : this.drawnAs(id));
    this.silent = false;
  }
}

function countsOf(members, components) {
  const counts = {};
  for (const id of members) counts[components.get(id).state] = (counts[components.get(id).state] ?? 0) + 1;
  return counts;
}
