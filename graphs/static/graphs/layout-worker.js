// Lays a graph out away from the page, which stays usable meanwhile: { dagre, nodes, edges } in, positions by id and the bends of each edge out.
const EXACT_UP_TO = 300;

self.onmessage = ({ data }) => {
  importScripts(data.dagre);
  const graph = new dagre.graphlib.Graph();
  const ranker = data.nodes.length > EXACT_UP_TO ? "tight-tree" : "network-simplex";
  graph.setGraph({ rankdir: "LR", ranker, nodesep: 20, ranksep: 52, edgesep: 10 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of data.nodes) graph.setNode(id, { width: data.width, height: data.height });
  for (const [source, target] of data.edges) graph.setEdge(source, target);
  dagre.layout(graph);
  const positions = Object.fromEntries(graph.nodes().map((id) => [id, { x: graph.node(id).x, y: graph.node(id).y }]));
  const bends = data.edges.map(([source, target]) => graph.edge(source, target).points.slice(1, -1));
  self.postMessage({ positions, bends });
};
