"""Mesh rules without sockets or disks: jobs, registry, whitelists, messaging, plans."""
