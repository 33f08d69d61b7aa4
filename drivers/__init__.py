"""Drivers shipped with the gateway, found by entry point (group `gateway.drivers`), never imported by it."""
