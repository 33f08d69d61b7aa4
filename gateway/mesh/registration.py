"""Who may register a device now: `closed`, `code` (the default) or `open` (topic rules, section 6).

`code` admits a logged-in device (counted), the holder of a one-time code, and anybody while an operator has
opened a window.  Codes live in memory as hashes: a restart makes them void, and none is ever written down.
"""

import hashlib
import secrets
from collections import OrderedDict
from enum import StrEnum

from gateway.errors import ForbiddenError
from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: none looks like another
CODE_LENGTH = 12  # 60 bits
CODE_TTL_MS = 24 * 3_600_000
MOST_CODES = 100
QUOTA = 100  # registrations of one device per QUOTA_MS; a gateway full of sensors needs tens
QUOTA_MS = 3_600_000
MOST_REGISTRANTS = 10_000
LOOKALIKES = str.maketrans("OIL", "011", "- \t")


class RegistrationMode(StrEnum):
    """The setting `mesh.registration`."""

    CLOSED = "closed"
    CODE = "code"
    OPEN = "open"


class Registration:
    """Decides registrations; operators hand out codes and open windows."""

    def __init__(self, mode: RegistrationMode, clock: Clock) -> None:
        self.mode = mode
        self._clock = clock
        self._codes: OrderedDict[bytes, int] = OrderedDict()  # hash -> uptime at which it ends
        self._open_until_ms = 0
        self._used: OrderedDict[DeviceUuid, tuple[int, int]] = OrderedDict()  # since, count

    @property
    def names_registrant_owner(self) -> bool:
        """Return whether a legacy device without owner belongs to who registered it: not when open to all."""
        return self.mode is not RegistrationMode.OPEN

    def new_code(self) -> str:
        """Return a code that admits one registration within a day; raises ForbiddenError when closed."""
        self._refuse_when_closed("hand out a registration code")
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        self._codes[_hashed(code)] = self._clock.uptime_ms() + CODE_TTL_MS
        while len(self._codes) > MOST_CODES:
            self._codes.popitem(last=False)
        return "-".join(code[at : at + 4] for at in range(0, CODE_LENGTH, 4))

    def open_for(self, seconds: float) -> None:
        """Admit anybody for a while; 0 ends a window; raises ForbiddenError when closed."""
        self._refuse_when_closed("open a pairing window")
        self._open_until_ms = self._clock.uptime_ms() + int(seconds * 1000)

    def open_s(self) -> float:
        """Return for how many seconds the pairing window is still open."""
        return max(0, self._open_until_ms - self._clock.uptime_ms()) / 1000

    def admits(self, registrant: DeviceUuid | None, code: object) -> str | None:
        """Use up what admits a registration; return why it is refused, or None."""
        if self.mode is RegistrationMode.CLOSED:
            return "Registration is closed on this mesh."
        if self.mode is RegistrationMode.OPEN or self.open_s() > 0:
            return None
        if isinstance(code, str):
            return (
                None if self._redeems(code) else "The registrationCode is wrong, used or too old."
            )
        if registrant is None:
            return "Registering needs a login, or a registrationCode in the body."
        return None if self._counts(registrant) else "Too many registrations by this device."

    def _redeems(self, code: str) -> bool:
        ends = self._codes.pop(_hashed(code), None)
        return ends is not None and self._clock.uptime_ms() < ends

    def _counts(self, registrant: DeviceUuid) -> bool:
        now = self._clock.uptime_ms()
        since, count = self._used.pop(registrant, (now, 0))
        if now - since >= QUOTA_MS:
            since, count = now, 0
        self._used[registrant] = (since, count + 1)
        while len(self._used) > MOST_REGISTRANTS:
            self._used.popitem(last=False)
        return count < QUOTA

    def _refuse_when_closed(self, what: str) -> None:
        if self.mode is RegistrationMode.CLOSED:
            raise ForbiddenError(
                f"cannot {what}: registration is closed on this mesh",
                code="GW-1301",
                hint='set mesh.registration = "code" in gateway.toml and restart',
            )


def _hashed(code: str) -> bytes:
    return hashlib.sha256(code.upper().translate(LOOKALIKES).encode("utf-8", "replace")).digest()
