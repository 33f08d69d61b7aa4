"""`gateway try` and `gateway drivers` as a person calls them."""

import argparse
import importlib
import json
import os
import threading
import time
import tty

import pytest

from gateway.driver.captures import Capture
from gateway.errors import GatewayError
from tests.captures.loading import HERE, SHIPPED, captures


def called(name, *words):
    module = importlib.import_module(f"gateway.cli.{name}")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    assert "example" in parser.format_help()
    return module.run(parser.parse_args(words))


def raw(tmp_path, capture: Capture):
    path = tmp_path / "dump.bin"
    path.write_bytes(capture.item)
    return str(path)


@pytest.mark.parametrize("path", [SHIPPED / "serial.json", SHIPPED / "ble.json", HERE / "ble.json"])
def test_capture_files_are_decoded(path, capsys):
    assert called("try", str(path)) == 0
    assert "temperature" in capsys.readouterr().out


def test_raw_bytes_are_read_as_the_driver_that_understands_most(tmp_path, capsys):
    path = raw(tmp_path, captures("vedirect")[0])
    assert called("try", path) == 0
    assert "read as vedirect" in capsys.readouterr().out


def test_settings_can_be_given(tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(b"1013.25,21.5\n")
    words = (
        str(tmp_path / "x.bin"),
        "--driver",
        "line-fields",
        "--set",
        'columns=["pressure","t"]',
    )
    assert called("try", *words) == 0
    assert "1013.25 hPa" in capsys.readouterr().out


def test_bytes_that_nobody_understands_are_a_failure(tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(b"\x00\x01\x02")
    assert called("try", str(tmp_path / "x.bin")) == 1
    assert "no driver understands" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "data"), [("x.json", b"{"), ("x.json", b"[5]"), (None, b"")])
def test_a_file_that_is_no_capture_is_explained(tmp_path, name, data):
    path = tmp_path / (name or "missing")
    if name:
        path.write_bytes(data)
    with pytest.raises(GatewayError) as caught:
        called("try", str(path))
    assert caught.value.code == "GW-1709"


def test_a_port_is_listened_to(capsys):
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def talk():
        while not stop.is_set():
            os.write(master, b'{"temperature":21.5}\n')
            time.sleep(0.02)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        code = called("try", os.ttyname(slave), "--driver", "line-json", "--seconds", "0.3")
    finally:
        stop.set()
        talker.join()
        os.close(master)
        os.close(slave)
    assert code == 0
    assert "21.5 Cel" in capsys.readouterr().out


def test_drivers_are_listed(capsys):
    assert called("drivers") == 0
    assert "Victron" in capsys.readouterr().out
    assert called("drivers", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"vedirect", "bthome"}


def test_the_settings_of_one_driver_are_shown(capsys):
    assert called("drivers", "line-json") == 0
    assert "id_key" in capsys.readouterr().out
    assert called("drivers", "ruuvi") == 0
    assert "no settings" in capsys.readouterr().out
