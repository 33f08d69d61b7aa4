"""What the end-to-end tests share: npm's clients, installed as tests/clients does it, and a Ctrl-C that arrives."""

import signal

from tests.clients.conftest import node_modules

__all__ = ["node_modules"]

# A shell that starts the tests in the background has SIGINT ignored, and so would every command they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
