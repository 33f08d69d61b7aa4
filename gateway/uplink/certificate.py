"""The node's own certificate: made once, self-signed, trusted by its fingerprint and nothing else."""

import hashlib
import ssl
import subprocess
import sys
from pathlib import Path

from gateway.errors import ConfigError
from gateway.runtime.files import write_atomically

END = b"-----END CERTIFICATE-----\n"
MINTING_S = 120.0  # a tenth of a second on a desktop; a busy board with a slow card has its time


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
        certificate_pem, key_pem = _made(certificate)
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificate.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(key, key_pem)
        write_atomically(certificate, certificate_pem, mode=0o644)
    return certificate, key


def _made(certificate: Path) -> tuple[bytes, bytes]:
    """Return a new certificate and its key, made by another process: see `minting`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gateway.uplink.minting"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MINTING_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unusable(certificate, f"none could be made ({error})") from error
    certificate_pem, end, key_pem = done.stdout.partition(END)
    if done.returncode or not key_pem:
        why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise _unusable(certificate, f"none could be made ({why})")
    return certificate_pem + end, key_pem


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be used: {why}",
        code="GW-1612",
        hint="restore tls/ and secrets/ from a backup, or remove both files and join every child anew",
    )
