"""Which packet goes to whom."""

from gateway.broker.connecting import on_auth, on_connect, on_disconnect, on_pingreq
from gateway.broker.connection import FIRST_CONNECT, Handler
from gateway.broker.publishing import on_puback, on_pubcomp, on_publish, on_pubrec, on_pubrel
from gateway.broker.subscribing import on_subscribe, on_unsubscribe

HANDLERS: dict[int, Handler] = {
    FIRST_CONNECT: on_connect,
    **dict.fromkeys((0x30, 0x31), on_publish),  # QoS 0 is never a duplicate
    **dict.fromkeys((0x32, 0x33, 0x3A, 0x3B, 0x34, 0x35, 0x3C, 0x3D), on_publish),
    0x40: on_puback,
    0x50: on_pubrec,
    0x62: on_pubrel,
    0x70: on_pubcomp,
    0x82: on_subscribe,
    0xA2: on_unsubscribe,
    0xC0: on_pingreq,
    0xE0: on_disconnect,
    0xF0: on_auth,
}
"""First byte, its flags included, -> handler: whatever is not here closes the connection."""
