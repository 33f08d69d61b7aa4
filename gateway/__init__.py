"""An MQTT-first IoT gateway: every gateway is a mesh; a mesh with a parent is an edge."""

__version__ = "0.1.0"
