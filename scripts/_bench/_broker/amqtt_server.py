"""amqtt with a login plugin and a topic plugin: `python -m scripts._bench._broker.amqtt_server PORT USERS`."""

# mypy: disallow-subclassing-any=False
# amqtt publishes no types.

import asyncio
import hmac
import logging
import sys
from dataclasses import dataclass

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

KEY = b"bench"
MOST_CONNECTIONS = 20_000


def keyed(password: str) -> bytes:
    """Return what is kept of a password."""
    return hmac.digest(KEY, password.encode(), "sha256")


class Login(BaseAuthPlugin):
    """Checks the password."""

    @dataclass
    class Config:
        """How many users there are."""

        users: int = 0

    def __init__(self, context: object) -> None:
        super().__init__(context)
        count: int = self.config.users
        self._known = {f"bench-{i}": keyed(f"secret-{i}") for i in range(count)}

    async def authenticate(self, *, session: Session) -> bool | None:
        """Judge a login."""
        known = self._known.get(session.username or "", b"")
        return hmac.compare_digest(known, keyed(session.password or ""))


class Rule(BaseTopicPlugin):
    """Opens one tree of topics."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Judge the use of a topic."""
        del session, action
        return topic is not None and topic.startswith("load/")


async def main(port: int, users: int) -> None:
    """Serve until ended."""
    module = "scripts._bench._broker.amqtt_server"
    address = f"127.0.0.1:{port}"
    listener = {"type": "tcp", "bind": address, "max_connections": MOST_CONNECTIONS}
    plugins: dict[str, dict[str, object]] = {
        f"{module}.Login": {"users": users},
        f"{module}.Rule": {},
    }
    await Broker({"listeners": {"default": listener}, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
