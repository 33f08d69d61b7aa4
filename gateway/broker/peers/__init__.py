"""Bridges to other brokers: a client of ours inside this process, a client of theirs over the network, and rules between.

The client inside is an ordinary MQTT 5 client with a kept session, so what waits for the other broker is the
broker's own durable queue, and the access table judges a bridge as it judges everybody.  A message is acknowledged
on one side once the other side has acknowledged it: at least once, in order, bounded by the smaller window.
"""
