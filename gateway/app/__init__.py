"""The composition root: opens resources, wires packages together, runs services."""
