"""What the app tells the apps above it."""

from django.dispatch import Signal

graphs_ended = Signal()
"""Sent after commit with `graphs: list[Graph]`, all in a final state. A hint: a crash may lose it, so whoever needs to
know also looks at the graphs' states from time to time."""

forgetting_graphs = Signal()
"""Sent with `graph_ids: list[str]`, all over for longer than they are kept. A listener returns those of them that
something of its own still needs, and these are kept for now."""
