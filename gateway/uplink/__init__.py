"""Both ends of the protocol between child and parent: pure machines in `protocol`, shells around them.

It knows no bridge and no mesh: `app` hands in `route`, `dispatch` and the stores.
"""
