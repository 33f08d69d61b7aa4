"""The HTTP face of the mesh: routes turn requests into jobs and outcomes into statuses."""
