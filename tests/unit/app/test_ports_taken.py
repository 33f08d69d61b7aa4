"""Who holds a port."""

import os
import socket
import sys

import pytest

from gateway.app.ports_taken import any_free, holder, is_free


def test_a_free_port_is_free_and_a_held_one_is_not():
    port = any_free("127.0.0.1")
    assert is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who holds a port on Linux only")
def test_the_holder_of_a_port_is_named_with_its_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert f"(pid {os.getpid()})" in holder(server.getsockname()[1])


def test_nobody_known_is_another_program():
    assert holder(any_free("127.0.0.1")) == "another program"
