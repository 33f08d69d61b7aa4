"""The load of the broker benchmark: `_mqtt_load PORT SCENARIO COUNT`, pre-encoded packets, closed loop.

fanin0: 10 publishers, 1 subscriber, QoS 0, batches.  fanin1: the same at QoS 1, window 20.  lone1: 100 publishers
with one QoS 1 message in flight each.  fanout0: 1 publisher, 20 subscribers.  100 bytes of payload.
"""

import asyncio
import functools
import json
import sys
from dataclasses import dataclass

PAYLOAD = b"x" * 100


@dataclass(frozen=True)
class Load:
    """A scenario: how many, at which QoS, how many messages of each publisher are on their way."""

    publishers: int
    subscribers: int
    qos: int
    window: int


LOADS = {
    "fanin0": Load(10, 1, 0, 200),
    "fanin1": Load(10, 1, 1, 20),
    "lone1": Load(100, 1, 1, 1),
    "fanout0": Load(1, 20, 0, 50),
}


def text(raw: bytes) -> bytes:
    """Return a string as MQTT writes it."""
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, body: bytes) -> bytes:
    """Return a packet of less than 16 kB."""
    size = len(body)
    length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
    return bytes((first,)) + length + body


class Client(asyncio.Protocol):
    """Counts packets by kind; acknowledges QoS 1."""

    def __init__(self, number: int, on_packets: "asyncio.Event") -> None:
        self.number = number
        self.woken = on_packets
        self.messages = self.acks = 0
        self.sent = 0
        self.answered = asyncio.Event()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        name = b"load-%d" % self.number
        head = text(b"MQTT") + b"\x04\xc2\x00\x00"
        transport.write(packet(0x10, head + text(name) + text(b"bench") + text(b"x")))

    def data_received(self, data: bytes) -> None:
        """Count what came."""
        data = self._tail + data
        at, acks = 0, []
        while len(data) - at >= 2:
            size, body = data[at + 1], at + 2
            if size & 128:
                if len(data) - at < 3:
                    break
                size, body = size & 127 | data[at + 2] << 7, at + 3
            if body + size > len(data):
                break
            kind = data[at] >> 4
            if kind == 3:
                self.messages += 1
                if data[at] & 2:
                    cut = body + 2 + (data[body] << 8 | data[body + 1])
                    acks.append(b"\x40\x02" + data[cut : cut + 2])
            elif kind == 4:
                self.acks += 1
            else:
                self.answered.set()
            at = body + size
        self._tail = data[at:]
        if acks:
            self.transport.write(b"".join(acks))
        self.woken.set()


async def main(port: int, name: str, count: int) -> None:
    """Run one scenario and print what was delivered."""
    load, woken = LOADS[name], asyncio.Event()
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(load.publishers + load.subscribers):
        _, client = await loop.create_connection(
            functools.partial(Client, number, woken), "127.0.0.1", port
        )
        await client.answered.wait()
        clients.append(client)
    publishers, subscribers = clients[: load.publishers], clients[load.publishers :]
    for client in subscribers:
        client.answered.clear()
        client.transport.write(packet(0x82, b"\0\x01" + text(b"load/#") + bytes((load.qos,))))
        await client.answered.wait()
    share = count // load.subscribers // load.publishers
    await drive(load, publishers, subscribers, share)
    print(json.dumps({"delivered": sum(c.messages for c in subscribers)}))


async def drive(
    load: Load, publishers: list[Client], subscribers: list[Client], share: int
) -> None:
    """Publish `share` messages each, never more than the window ahead of what arrived."""
    woken = publishers[0].woken
    total = share * len(publishers)
    while True:
        woken.clear()
        arrived = min(client.messages for client in subscribers)
        if arrived >= total and all(client.acks >= share * load.qos for client in publishers):
            return
        on_way = sum(client.sent for client in publishers) - arrived
        room = max(0, load.window * len(publishers) - on_way)
        for client in publishers:
            ahead = load.window - load.qos * (client.sent - client.acks)
            send = min(share - client.sent, ahead, room)
            if send > 0:
                room -= send
                client.transport.write(b"".join(one(client, load.qos) for _ in range(send)))
        await asyncio.wait_for(woken.wait(), 10)


def one(client: Client, qos: int) -> bytes:
    """Return the next message of a publisher."""
    client.sent += 1
    number = (client.sent % 65535 + 1).to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1, text(b"load/%d" % client.number) + number + PAYLOAD)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
