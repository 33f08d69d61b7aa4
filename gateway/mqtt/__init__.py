"""The MQTT protocol, sans-I/O: bytes in, events and bytes out. Knows no socket, clock, disk, mesh or config."""
