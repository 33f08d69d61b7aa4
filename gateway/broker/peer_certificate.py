"""What a verified client certificate says of its holder, read from the TLS session of a transport."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.mqtt.ports import PeerCertificate


def certificate_of(transport: asyncio.BaseTransport) -> PeerCertificate | None:
    """Return the certificate that the peer proved to hold; None when it showed none, or none was asked for."""
    session = transport.get_extra_info("ssl_object")
    if session is None:
        return None
    # An empty answer is a certificate that nobody verified (CERT_NONE): it proves nothing.
    fields: Mapping[str, Any] | None = session.getpeercert()
    if not fields:
        return None
    der = session.getpeercert(binary_form=True)
    return PeerCertificate(
        common_name=_common_name(fields.get("subject", ())),
        names=tuple(
            value for kind, value in fields.get("subjectAltName", ()) if kind in ("DNS", "URI")
        ),
        fingerprint=hashlib.sha256(der).hexdigest(),
    )


def _common_name(subject: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Return the one common name; a subject with several names nobody."""
    found = [value for part in subject for key, value in part if key == "commonName"]
    return found[0] if len(found) == 1 else ""
