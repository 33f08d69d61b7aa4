"""A private system D-Bus: dbus-daemon on a socket of its own, named to this process by environment."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


@contextlib.contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Run a bus until the block ends; yields its address, which is also in the environment."""
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=folder / "bus"))
    daemon = subprocess.Popen(
        [
            "dbus-daemon",
            f"--config-file={configuration}",
            "--nofork",
            "--print-address",
            "--nopidfile",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    address = daemon.stdout.readline().strip()
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = address
    try:
        yield address
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        daemon.terminate()
        daemon.wait()
        daemon.stdout.close()
