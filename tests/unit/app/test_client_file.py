"""Options for mosquitto's clients, where nobody else reads them."""

import stat
from pathlib import Path

from gateway.app.client_file import password_file, write_client_file


def test_the_password_stands_in_a_private_file_and_not_in_the_command(tmp_path: Path):
    secret = password_file(tmp_path)
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2-hunter2\n")
    command = write_client_file(tmp_path, 11883)
    written = tmp_path / "clients" / "mosquitto_sub"
    assert "hunter2" not in command
    assert "-P hunter2-hunter2" in written.read_text().splitlines()
    assert "-p 11883" in written.read_text().splitlines()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert str(written.parent) in command
