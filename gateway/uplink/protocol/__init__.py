"""Both machines of the sync protocol as `step(event, now) -> effects`: no socket, disk, clock or task."""
