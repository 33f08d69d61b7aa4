"""A serial device made of a pty: plugged, unplugged and replugged under another name, found by a by-id link."""

import os
import tty
from pathlib import Path


class PtyPort:
    """The device's end of a serial line; `link` is what a gateway configures."""

    def __init__(self, by_id_dir: Path, name: str = "usb-Fake_Sensor_0001-if00-port0") -> None:
        by_id_dir.mkdir(parents=True, exist_ok=True)
        self.link = by_id_dir / name
        self.device = ""
        self._master: int | None = None

    def plug(self) -> str:
        """Appear as a new device file; returns its name."""
        self._master, slave = os.openpty()
        tty.setraw(slave)  # a cooked pty echoes and eats bytes
        self.device = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        beside = self.link.with_name(f".{self.link.name}")
        beside.symlink_to(self.device)
        beside.rename(self.link)
        return self.device

    def unplug(self) -> None:
        """Go away as a USB adapter does: the link vanishes and the line hangs up."""
        self.link.unlink(missing_ok=True)
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def say(self, data: bytes) -> int:
        """Send bytes to the gateway; returns how many the line took (a full line takes fewer)."""
        assert self._master is not None
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def heard(self) -> bytes:
        """Return what the gateway wrote since the last call."""
        assert self._master is not None
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(self._master, 65_536)
            except (BlockingIOError, OSError):  # nothing there, or nobody has opened the other end
                return b"".join(parts)
            if not part:
                return b"".join(parts)
            parts.append(part)
