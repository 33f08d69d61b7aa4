"""Which topics code in this process has claimed; two claims on one topic are a mistake found at start."""

from gateway.errors import ConfigError
from gateway.mqtt.filters import matches, overlaps
from gateway.mqtt.ports import PublishHandler, SubscribeHandler, UnsubscribeHandler


class Claims:
    """Exact topics and `prefix/#` patterns, and the one owner of uuid topics."""

    def __init__(self) -> None:
        self._handlers: dict[str, PublishHandler] = {}
        self.uuid_publish: PublishHandler | None = None
        self.uuid_subscribe: SubscribeHandler | None = None
        self.uuid_unsubscribe: UnsubscribeHandler | None = None

    def add(self, pattern: str, handler: PublishHandler) -> None:
        """Claim; raises ConfigError when an earlier claim shares a topic with this one."""
        head = pattern.removesuffix("/#")
        if not head or "#" in head or "+" in head:
            raise _conflict(f"{pattern!r} is neither a topic nor prefix/#")
        for other in self._handlers:
            if overlaps(pattern, other):
                raise _conflict(f"{pattern!r} overlaps the claim on {other!r}")
        self._handlers[pattern] = handler

    def add_uuids(
        self, publish: PublishHandler, subscribe: SubscribeHandler, unsubscribe: UnsubscribeHandler
    ) -> None:
        """Claim all uuid topics, once."""
        if self.uuid_publish is not None:
            raise _conflict("uuid topics are claimed twice")
        self.uuid_publish = publish
        self.uuid_subscribe = subscribe
        self.uuid_unsubscribe = unsubscribe

    def find(self, topic: str) -> PublishHandler | None:
        """Return who claimed a topic; called once per session and topic."""
        handler = self._handlers.get(topic)
        if handler is not None:
            return handler
        for pattern, candidate in self._handlers.items():
            if pattern.endswith("/#") and matches(pattern, topic):
                return candidate
        return None


def _conflict(text: str) -> ConfigError:
    return ConfigError(text, code="GW-1102", hint="two parts want the same topics; report this")
