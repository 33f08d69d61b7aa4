"""Tokens: how they are made, hashed and compared.  Only hashes are kept; the text is told once.

A hash is HMAC-SHA256(pepper, uuid + token) behind four bytes that name the pepper, so that a restored
database beside another pepper is recognised instead of refusing every login without a reason.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from gateway.model.device import DeviceUuid

TOKEN_BYTES = 20  # 40 hex digits, as every Meshblu token
PEPPER_ID_BYTES = 4


class TokenHasher:
    """Hashes tokens under one pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._id = hashlib.sha256(b"pepper id" + pepper).digest()[:PEPPER_ID_BYTES]
        self._keyed = hmac.new(pepper, digestmod=hashlib.sha256)

    def hash(self, uuid: DeviceUuid, token: str | bytes) -> bytes:
        """Return what is stored for a token of `uuid`."""
        text = token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
        keyed = self._keyed.copy()  # keying once halves the cost of a login
        keyed.update(uuid.encode("ascii", "replace") + text)
        return self._id + keyed.digest()

    def is_known(self, uuid: DeviceUuid, token: str | bytes, hashes: Iterable[bytes]) -> bool:
        """Return whether `token` is one of those hashed; every hash is looked at, in constant time."""
        return matches(self.hash(uuid, token), hashes)

    def owns(self, stored: bytes) -> bool:
        """Return whether a stored hash was made under this pepper."""
        return stored[:PEPPER_ID_BYTES] == self._id


def matches(presented: bytes, hashes: Iterable[bytes]) -> bool:
    """Return whether a hash is among `hashes`, without telling by its time which one or how nearly."""
    found = False
    for stored in hashes:
        found |= hmac.compare_digest(presented, stored)
    return found


def new_token() -> str:
    """Return a fresh token's text."""
    return secrets.token_hex(TOKEN_BYTES)
