"""The node's own certificate authority: made once, never anew, and what it has signed.

`secrets/ca.pem` holds certificate and key in one file, so that no half of it is ever seen; `tls/ca.crt` is the
certificate for people and devices.  Who takes the key elsewhere may: nothing can be signed then, all else goes on.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError
from gateway.runtime.clock import EARLIEST_WALL_MS
from gateway.runtime.files import write_atomically
from gateway.uplink.machine_names import MachineNames

MINTING_S = 120.0  # a tenth of a second on a desktop; a busy board with a slow card has its time


class Authority:
    """Signs certificates of this node and of its clients."""

    def __init__(self, state_dir: Path) -> None:
        self._pem = state_dir / "secrets" / "ca.pem"
        self.certificate = state_dir / "tls" / "ca.crt"

    def ready(self) -> Path:
        """Return the CA's certificate, made now where there is no CA at all; raises ConfigError GW-1612."""
        if not self.certificate.exists():
            certificate = _certificate_in(self._signer())
            write_atomically(self.certificate, certificate.encode(), mode=0o644)
        return self.certificate

    def sign_server(self, names: MachineNames, key: str | None) -> dict[str, Any]:
        """Return a server certificate for these names over a key (None: a new one), as `minting.server` does."""
        return self._mint(
            "server",
            {
                "ca": self._signer(),
                "key": key,
                "dns": names.dns,
                "addresses": names.addresses,
                "now_s": now_s(),
            },
        )

    def sign_client(self, name: str, days: int, *, uri: str = "") -> dict[str, Any]:
        """Return a client certificate with its key, as `minting.client` does."""
        asked = {"ca": self._signer(), "name": name, "uri": uri, "days": days, "now_s": now_s()}
        return self._mint("client", asked)

    def _signer(self) -> str:
        """Return certificate and key, made now where there is no trace of an earlier CA."""
        try:
            if self._pem.exists():
                return self._pem.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise unusable(self._pem, str(error)) from error
        if self.certificate.exists():
            raise unusable(self._pem, "it is missing, but its certificate is there")
        made = self._mint("authority", {})
        pem = f"{made['certificate']}{made['key']}"
        self._pem.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._pem, pem.encode())
        return pem

    def _mint(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Have it made by another process: see `minting`."""
        try:
            done = subprocess.run(
                [sys.executable, "-m", "gateway.uplink.minting"],
                input=json.dumps({"make": what, **asked}).encode(),
                capture_output=True,
                timeout=MINTING_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise unusable(self.certificate, f"none could be made ({error})") from error
        try:
            made = json.loads(done.stdout)
        except ValueError:
            made = None
        if done.returncode or not isinstance(made, dict):
            why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise unusable(self.certificate, f"none could be made ({why})")
        return made


def now_s() -> int:
    """Return the time, or the earliest believable one: a first start may come before the clock is right."""
    return max(int(time.time()), EARLIEST_WALL_MS // 1000)


def _certificate_in(pem: str) -> str:
    certificate, end, _ = pem.partition("-----END CERTIFICATE-----\n")
    return certificate + end


def unusable(path: Path, why: str) -> ConfigError:
    """Return the error that names a file of `tls/` or `secrets/`."""
    return ConfigError(
        f"{path} cannot be used: {why}",
        code="GW-1612",
        hint="restore tls/ and secrets/ from a backup, or remove both files and join every child anew",
    )
