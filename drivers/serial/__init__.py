"""Drivers of devices on a wire."""
