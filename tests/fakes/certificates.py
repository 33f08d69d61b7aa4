"""Certificates made on the spot, and a TLS handshake between two contexts without a socket."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Made:
    """A certificate with its key, in memory and as files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain_file: Path
    key_file: Path

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def make(
    folder: Path,
    common_name: str,
    *,
    by: Made | None = None,
    names: Sequence[x509.GeneralName] = (),
    is_ca: bool = False,
    days: int = 1,
) -> Made:
    """Make a certificate signed `by` another, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(common_name)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    # What Python 3.13 checks by default (VERIFY_X509_STRICT): who signs says so, who is signed says by whom.
    if is_ca:
        builder = builder.add_extension(_signs(), critical=True)
    if by is not None:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(signer, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(key if by is None else by.key, hashes.SHA256())
    stem = f"{common_name or 'nameless'}-{signed.serial_number % 10**6}"
    made = Made(signed, key, folder / f"{stem}.crt", folder / f"{stem}.key")
    made.chain_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key_file.write_bytes(_key_pem(key))
    return made


def _signs() -> x509.KeyUsage:
    rest = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(rest, False))


def _named(common_name: str) -> x509.Name:
    names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    return x509.Name(names)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_server(folder: Path, by: Made) -> Made:
    """Make a certificate for a server on this machine."""
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return make(folder, "server", by=by, names=names)


def server_side(
    made: Made, client_ca: Made | None = None, *, required: bool = False
) -> ssl.SSLContext:
    """Return a context for a server; `client_ca` vouches for clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain_file, made.key_file)
    if client_ca is not None:
        context.load_verify_locations(client_ca.chain_file)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def client_side(ca: Made | Path, own: Made | None = None) -> ssl.SSLContext:
    """Return a context for a client that trusts a CA, and shows a certificate of its own."""
    context = ssl.create_default_context(cafile=str(ca if isinstance(ca, Path) else ca.chain_file))
    if own is not None:
        context.load_cert_chain(own.chain_file, own.key_file)
    return context


def self_signed(common_name: str) -> tuple[bytes, bytes]:
    """Return certificate and key (PEM), with no extension at all, as gateways made them before their CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_named(common_name))
        .issuer_name(_named(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str | None) -> bytes:
    """Shake hands in memory; returns the certificate (DER) that the client saw. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(20):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return near.getpeercert(binary_form=True) or b""
    raise AssertionError("the handshake does not end")
