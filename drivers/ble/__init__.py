"""Drivers of devices on the air."""
