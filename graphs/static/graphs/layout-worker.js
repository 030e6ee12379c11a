// Lays a graph out away from the page, which stays usable meanwhile: { dagre, nodes, edges, width, height } in, positions
// by id and the bends of each edge out.
const EXACT_UP_TO = 300;
const BETWEEN_COLUMNS = 52;
const BETWEEN_ROWS = 20;

self.onmessage = ({ data }) => {
  importScripts(data.dagre);
  try {
    self.postMessage(layered(data));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    self.postMessage(inColumns(data)); // dagre calls itself once per step of a path, and this graph's is too long
  }
};

function layered({ nodes, edges, width, height }) {
  const graph = new dagre.graphlib.Graph();
  const ranker = nodes.length > EXACT_UP_TO ? "longest-path" : "network-simplex";
  graph.setGraph({ rankdir: "LR", ranker, nodesep: BETWEEN_ROWS, ranksep: BETWEEN_COLUMNS, edgesep: 10 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of nodes) graph.setNode(id, { width, height });
  for (const [source, target] of edges) graph.setEdge(source, target);
  dagre.layout(graph);
  const positions = Object.fromEntries(graph.nodes().map((id) => [id, { x: graph.node(id).x, y: graph.node(id).y }]));
  return { positions, bends: edges.map(([source, target]) => graph.edge(source, target).points.slice(1, -1)) };
}

// Each component one column after the last that it waits for.
function inColumns({ nodes, edges, width, height }) {
  const following = new Map(nodes.map((id) => [id, []]));
  const missing = new Map(nodes.map((id) => [id, 0]));
  for (const [source, target] of edges) {
    following.get(source).push(target);
    missing.set(target, missing.get(target) + 1);
  }
  const column = new Map(nodes.map((id) => [id, 0]));
  const ready = nodes.filter((id) => !missing.get(id));
  for (const id of ready) {
    for (const next of following.get(id)) {
      column.set(next, Math.max(column.get(next), column.get(id) + 1));
      missing.set(next, missing.get(next) - 1);
      if (!missing.get(next)) ready.push(next);
    }
  }
  const rows = [];
  const place = (id) => {
    const x = column.get(id) * (width + BETWEEN_COLUMNS);
    rows[column.get(id)] = (rows[column.get(id)] ?? -1) + 1;
    return [id, { x, y: rows[column.get(id)] * (height + BETWEEN_ROWS) }];
  };
  return { positions: Object.fromEntries(nodes.map(place)), bends: edges.map(() => []) };
}
