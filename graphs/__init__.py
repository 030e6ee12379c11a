"""The dependency engine: a graph's components are carried out in the order that its edges ask for."""
