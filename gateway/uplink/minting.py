"""Makes certificates and keys, as a program: what that imports is 11 MB which a node would never give back.

`python -m gateway.uplink.minting` reads one JSON request and prints one JSON answer; keys never stand in arguments.
"""

import datetime as dt
import ipaddress
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# The clock of a gateway's first start may be anywhere, and nobody can trust a CA anew in every device: fixed years.
CA_FROM, CA_UNTIL = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2119, 12, 31, tzinfo=dt.UTC)
SERVER_BACK = dt.timedelta(days=365)  # a device without a clock wakes up months ago
SERVER_VALID = dt.timedelta(
    days=397
)  # with the days back below 825, the most that Apple's devices take
CLIENT_BACK = dt.timedelta(days=3650)


def authority(_: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CA: certificate and key (P-256)."""
    from cryptography import x509  # noqa: PLC0415 - imported by whoever mints, and nobody else

    key = _new_key()
    serial = x509.random_serial_number()
    name = _named(f"gateway CA {serial & 0xFFFFFFFF:08x}")  # two gateways' CAs can be told apart
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(serial)
        .not_valid_before(CA_FROM)
        .not_valid_after(CA_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _answer(builder, key, key)


def server(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a server's certificate for `dns` and `addresses`, over `key` or a new one."""
    from cryptography import x509  # noqa: PLC0415

    key = _key_of(asked["key"]) if asked.get("key") else _new_key()
    now = dt.datetime.fromtimestamp(asked["now_s"], dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in asked["dns"]]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in asked["addresses"]]
    subject = next((name for name in asked["dns"] if name != "localhost"), "gateway")
    builder = (
        _leaf(asked, "serverAuth", subject)
        .not_valid_before(now - SERVER_BACK)
        .not_valid_after(now + SERVER_VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return _answer(builder, key, _key_of(asked["ca"]))


def client(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's certificate for `name`, valid `days` from `now_s`, and its key; `uri` names it too."""
    from cryptography import x509  # noqa: PLC0415

    now = dt.datetime.fromtimestamp(asked["now_s"], dt.UTC)
    builder = (
        _leaf(asked, "clientAuth", asked["name"])
        .not_valid_before(now - CLIENT_BACK)
        .not_valid_after(now + dt.timedelta(days=asked["days"]))
    )
    if asked.get("uri"):
        names = [x509.UniformResourceIdentifier(asked["uri"])]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _answer(builder, _new_key(), _key_of(asked["ca"]))


MAKERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "authority": authority,
    "server": server,
    "client": client,
}


def _leaf(asked: Mapping[str, Any], purpose: str, common_name: str) -> "x509.CertificateBuilder":
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    issuer = x509.load_pem_x509_certificate(asked["ca"].encode())
    purposes = {
        "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
        "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    return (
        x509.CertificateBuilder()
        .subject_name(_named(common_name))
        .issuer_name(issuer.subject)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purposes[purpose]]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(_key_of(asked["ca"]).public_key()),
            critical=False,
        )
    )


def _named(common_name: str) -> "x509.Name":
    from cryptography import x509  # noqa: PLC0415

    # A common name holds at most 64 characters (RFC 5280, appendix A.1).
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509  # noqa: PLC0415

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _answer(
    builder: "x509.CertificateBuilder",
    key: "EllipticCurvePrivateKey",
    signer: "EllipticCurvePrivateKey",
) -> dict[str, Any]:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

    made = (
        builder.public_key(key.public_key())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "certificate": made.public_bytes(pem).decode(),
        "key": key_pem.decode(),
        "from_s": int(made.not_valid_before_utc.timestamp()),
        "until_s": int(made.not_valid_after_utc.timestamp()),
    }


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1())


def _key_of(pem: str) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
        EllipticCurvePrivateKey,
    )

    found = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(found, EllipticCurvePrivateKey):
        raise TypeError("a key that was not made by the gateway")
    return found


if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump(MAKERS[request["make"]](request), sys.stdout)
