"""Debian's mosquitto as a process of its own on a free port, with a password file; its clients have password `secret`."""

import getpass
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.fakes.nodes import free_port

START_S = 10.0
USERS = ("admin", "bridge")
PASSWORD = "secret"


class Mosquitto:
    """One broker; a stop loses what it holds unless `keeps` is set."""

    def __init__(
        self,
        folder: Path,
        *,
        keeps: bool = False,
        more: str = "",
        users: tuple[str, ...] = USERS,
    ) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._passwords = folder / "passwords"
        self._passwords.write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
        subprocess.run(["mosquitto_passwd", "-U", str(self._passwords)], check=True)
        kept = f"persistence true\npersistence_location {folder}/\n" if keeps else ""
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {self._passwords}\nmax_queued_messages 10000\n{kept}{more}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text("utf-8", "replace")

    def start(self) -> Self:
        """Start it, and wait until it accepts connections."""
        with (self.folder / "log.txt").open("ab") as log:
            words = ["mosquitto", "-v", "-c", str(self._config)]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return self

    def stop(self) -> None:
        """End it as systemd does."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(START_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
