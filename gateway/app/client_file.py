"""Options for Debian's mosquitto clients in a file of their own, so that no password stands in argv.

mosquitto_sub reads `$XDG_CONFIG_HOME/mosquitto_sub`: one option a line.
"""

import shlex
from pathlib import Path

from gateway.runtime.files import write_atomically

DEMO_USER = "demo"
FOLDER = "clients"


def password_file(state: Path) -> Path:
    """Return where the demo user's password lies."""
    return state / "secrets" / "demo-password"


def write_client_file(state: Path, port: int) -> str:
    """Write the file (mode 0600) for the demo user; returns the command to print."""
    password = password_file(state).read_text("utf-8").strip()
    folder = (state / FOLDER).absolute()
    lines = ("-h 127.0.0.1", f"-p {port}", f"-u {DEMO_USER}", f"-P {password}")
    text = "\n".join(lines) + "\n"
    for program in ("mosquitto_sub", "mosquitto_pub"):
        write_atomically(folder / program, text.encode(), mode=0o600)
    return f"XDG_CONFIG_HOME={shlex.quote(str(folder))} mosquitto_sub -v -t 'devices/#'"
