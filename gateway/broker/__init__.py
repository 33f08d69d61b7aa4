"""The local MQTT broker: `asyncio.Protocol` shells around `gateway.mqtt`, one write per client and loop tick.

It knows neither registry nor configuration: `app` hands in an authenticator, a compiled access table and
claims.  Mesh topics never enter its subscription trie.
"""
