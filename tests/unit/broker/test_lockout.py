"""Somebody who guesses passwords does not keep anybody else out: neither its victim nor its neighbours."""

import asyncio

from gateway.broker.logins import FAILURES_PER_ADDRESS, FAILURES_PER_IDENTITY
from tests.fakes.mqtt_broker import RawClient, connect, running

HOME, EVIL, NEW = "127.0.0.1", "127.0.0.2", "127.0.0.3"
ACCEPTED, BUSY, WRONG = 0, 3, 4


async def attempt(port: int, user: str, password: str, source: str) -> int:
    """Return the code of the CONNACK that a login from an address gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    client = RawClient(reader, writer)
    client.send(connect(user, f"{source}-{user}", password=password))
    first, body = await client.read()
    assert first == 0x20
    await client.gone()
    return body[1]


async def test_a_guesser_elsewhere_does_not_lock_its_victim_out() -> None:
    async with running() as (_, port):
        codes = [
            await attempt(port, "admin", "guess", EVIL) for _ in range(2 * FAILURES_PER_ADDRESS)
        ]
        assert codes == [WRONG] * FAILURES_PER_ADDRESS + [BUSY] * FAILURES_PER_ADDRESS
        assert await attempt(port, "admin", "secret", EVIL) == BUSY
        assert await attempt(port, "admin", "secret", HOME) == ACCEPTED
        assert await attempt(port, "reader", "secret", NEW) == ACCEPTED


async def test_many_guessers_of_one_name_do_not_lock_it_out_where_nobody_failed() -> None:
    async with running() as (broker, port):
        for number in range(FAILURES_PER_IDENTITY):
            broker.logins.failure(f"192.0.2.{number}", "admin", broker.now())
        broker.logins.failure(EVIL, "admin", broker.now())
        assert await attempt(port, "admin", "secret", EVIL) == BUSY
        assert await attempt(port, "admin", "secret", HOME) == ACCEPTED


async def test_a_neighbour_behind_the_same_address_does_not_lock_out_who_is_known_there() -> None:
    async with running() as (broker, port):
        assert await attempt(port, "admin", "secret", HOME) == ACCEPTED
        for number in range(FAILURES_PER_IDENTITY):
            broker.logins.failure(f"192.0.2.{number}", "admin", broker.now())
        for _ in range(FAILURES_PER_ADDRESS):
            assert await attempt(port, "reader", "guess", HOME) == WRONG
        assert await attempt(port, "reader", "secret", HOME) == BUSY
        assert await attempt(port, "admin", "secret", HOME) == ACCEPTED
