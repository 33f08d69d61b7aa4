"""Makes a certificate and its key, as a program: what that imports is 11 MB which a node would never give back.

`python -m gateway.uplink.minting` prints both as PEM, first the certificate.
"""

import datetime as dt
import sys

VALID_YEARS = (
    30  # pinned by fingerprint, so its end protects nobody; a gateway in a wall must outlive it
)
DAYS_BACK = 3650  # a child without a clock wakes up years ago


def mint() -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key (P-256), both as PEM."""
    from cryptography import x509  # noqa: PLC0415 - imported by whoever mints, and nobody else
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


if __name__ == "__main__":
    sys.stdout.buffer.write(b"".join(mint()))
