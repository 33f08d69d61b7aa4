"""The page's eyes on the bridge: devices known, values read, comings and goings."""

from collections.abc import Callable, Mapping

from gateway.app.live import Live, Seen
from gateway.model import DeviceUuid, Identity, Scalar, Stamp


class BridgeObserver:
    """Matches `bridge.ports.Observer`."""

    def __init__(
        self,
        live: Live,
        observed_ms: Callable[[Stamp], int | None],
        on_document: Callable[[DeviceUuid], None],
    ) -> None:
        """`on_document` hears of devices whose documents came, changed or went."""
        self._live = live
        self._observed_ms = observed_ms
        self._on_document = on_document

    def known(self, identity: Identity) -> None:
        """Show a device."""
        self._live.know(
            Seen(
                identity.uuid,
                identity.slug,
                identity.slug,
                identity.driver,
                identity.link,
                identity.is_demo,
                "offline",
                identity.last_seen_ms,
            )
        )
        self._on_document(identity.uuid)

    def reading(
        self, identity: Identity, values: Mapping[str, tuple[Scalar, str]], observed: Stamp
    ) -> None:
        """Show its newest values."""
        self._live.reading(identity.uuid, values, self._observed_ms(observed))

    def event(self, identity: Identity, name: str, observed: Stamp) -> None:
        """Show a momentary event as a value that says when."""
        self._live.reading(identity.uuid, {"event": (name, "")}, self._observed_ms(observed))

    def availability(self, identity: Identity, *, is_online: bool) -> None:
        """Show that it came or went."""
        self._live.availability(identity.uuid, "online" if is_online else "offline")

    def forgotten(self, identity: Identity) -> None:
        """Show it no longer."""
        self._live.forget(identity.uuid)
        self._on_document(identity.uuid)
