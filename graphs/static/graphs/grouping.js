// Which components are drawn as one node, so that a graph of thousands can be taken in. Pure: data in, data out.
// An id of a group holds a space, which no component's id does.
export const STATES = ["errored", "running", "waiting", "cancelled", "completed", "skipped", "exists"];
const SEPARATE_UP_TO = 250;
const GROUPS_UP_TO = 200;

/** The ways to group these components that make a difference, as [value, words]. */
export function ways(components, edges) {
  const found = [["each", "Each component"]];
  if (components.some(({ group }) => group)) found.push(["group", "Groups of the mapping"]);
  found.push(["level", "Type and level"], ["type", "Type"]);
  return found.filter(([by]) => by === "each" || assign(components, edges, by).groups.size);
}

/** The way that a graph is shown at first: a small one whole, a large one in as few groups as tell something. */
export function usual(components, edges) {
  if (components.length <= SEPARATE_UP_TO) return "each";
  const few = ["group", "level", "type"].find((by) => {
    const { drawn } = assign(components, edges, by);
    return drawn > 1 && drawn <= GROUPS_UP_TO;
  });
  return few ?? "type";
}

/** Puts each component into its group: `of` its id to its group's, where it has one, `groups` with their members. */
export function assign(components, edges, by) {
  const level = by === "level" ? levels(components, edges) : null;
  const name = {
    group: ({ group }) => group && `group ${group}`,
    level: ({ id, type }) => `${kind(id, type)} level ${level.get(id) + 1}`,
    type: ({ id, type }) => `${kind(id, type)} all`,
    each: () => "",
  }[by];
  const groups = new Map();
  for (const one of components) {
    const key = name(one);
    if (!key) continue;
    if (!groups.has(key)) groups.set(key, { id: key, name: nameOf(by, key), title: by === "level" ? key : nameOf(by, key), members: [] });
    groups.get(key).members.push(one.id);
  }
  for (const [key, { members }] of groups) if (members.length === 1) groups.delete(key);
  const of = new Map();
  for (const { id, members } of groups.values()) for (const member of members) of.set(member, id);
  return { of, groups, drawn: components.length - of.size + groups.size };
}

/** The edges between what is drawn, each once, without those inside of a node. */
export function between(edges, drawnAs) {
  const found = new Map();
  for (const [source, target] of edges) {
    const ends = [drawnAs(source), drawnAs(target)];
    if (ends[0] !== ends[1]) found.set(ends.join("\n"), ends);
  }
  return [...found.values()];
}

/** How far each component is from the start, by its longest way. */
export function levels(components, edges) {
  const following = new Map(components.map(({ id }) => [id, []]));
  const missing = new Map(components.map(({ id }) => [id, 0]));
  for (const [source, target] of edges) {
    following.get(source).push(target);
    missing.set(target, missing.get(target) + 1);
  }
  const level = new Map(components.map(({ id }) => [id, 0]));
  const ready = [...missing].filter(([, count]) => !count).map(([id]) => id);
  for (const id of ready) {
    for (const next of following.get(id)) {
      level.set(next, Math.max(level.get(next), level.get(id) + 1));
      missing.set(next, missing.get(next) - 1);
      if (!missing.get(next)) ready.push(next);
    }
  }
  return level;
}

/** The state that a group is shown in: what went wrong before what goes on, and that before what is over. */
export function stateOf(counts) {
  if (!counts.errored && !counts.running && counts.waiting && counts.completed) return "waiting";
  return STATES.find((state) => counts[state]) ?? "waiting";
}

function kind(id, type) {
  return (type || id.split("::")[0]).replaceAll(" ", "_");
}

function nameOf(by, key) {
  if (by === "group") return key.slice("group ".length);
  return key.slice(0, key.lastIndexOf(by === "level" ? " level " : " "));
}
