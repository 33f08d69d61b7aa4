"""Devices on one side, messages on the other: hosts run codecs, intake gives identities, dispatch sends commands.

It knows no mesh and no uplink: `app` hands in `route` and repositories.
"""
