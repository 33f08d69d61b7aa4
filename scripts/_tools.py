"""The programs tests start, and the Debian package each comes from: one table for `scripts/test` and `conftest`."""

import os
import shutil
from pathlib import Path

TOOLS = {
    "chromium": "chromium",
    "dbus-daemon": "dbus-daemon",
    "mmdebstrap": "mmdebstrap",
    "curl": "curl",
    "gcc": "build-essential",
    "haproxy": "haproxy",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_rr": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "node": "nodejs",
    "npm": "npm",
    "socat": "socat",
    "systemd-analyze": "systemd",
}
"""executable -> Debian package"""

NPM = "npm:"
"""`needs("npm:meshblu-http")` asks for a package of tests/clients/package.json."""

SYSTEM_FOLDERS = "/usr/sbin:/sbin"  # mosquitto lives there; a plain user's PATH leaves them out


def find(tool: str, clients: Path) -> str | None:
    """Return where `tool` is, or None; `clients` is the folder of the npm packages."""
    if tool.startswith(NPM):
        folder = clients / "node_modules" / tool.removeprefix(NPM)
        return str(folder) if folder.is_dir() else None
    return shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}")
