"""The node's own certificate: made once, self-signed, trusted by its fingerprint and nothing else."""

import datetime as dt
import hashlib
import ssl
from pathlib import Path

from gateway.errors import ConfigError
from gateway.runtime.files import write_atomically

VALID_YEARS = (
    30  # pinned by fingerprint, so its end protects nobody; a gateway in a wall must outlive it
)
DAYS_BACK = 3650  # a child without a clock wakes up years ago


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a DER certificate as 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def own_fingerprint(state_dir: Path) -> str:
    """Return the fingerprint of this node's certificate, made now if there is none."""
    certificate, _ = _files(state_dir)
    try:
        return fingerprint(ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii")))
    except (OSError, ValueError) as error:
        raise _unusable(certificate, str(error)) from error


def server_context(state_dir: Path) -> ssl.SSLContext:
    """Return the context of this node's TLS listeners; raises ConfigError (GW-1612)."""
    certificate, key = _files(state_dir)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(certificate, str(error)) from error
    return context


def _files(state_dir: Path) -> tuple[Path, Path]:
    certificate, key = state_dir / "tls" / "node.crt", state_dir / "secrets" / "node.key"
    if certificate.exists() != key.exists():
        missing = key if certificate.exists() else certificate
        raise _unusable(missing, "it is missing, but its other half is there")
    if not certificate.exists():
        certificate_pem, key_pem = _make()
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificate.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(key, key_pem)
        write_atomically(certificate, certificate_pem, mode=0o644)
    return certificate, key


def _make() -> tuple[bytes, bytes]:
    # Imported here: 40 ms and 8 MB that a node without TLS does not spend.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=DAYS_BACK))
        .not_valid_after(now + dt.timedelta(days=365 * VALID_YEARS))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be used: {why}",
        code="GW-1612",
        hint="restore tls/ and secrets/ from a backup, or remove both files and join every child anew",
    )
