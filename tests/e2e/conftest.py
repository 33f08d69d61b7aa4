"""What the end-to-end tests share: npm's clients, installed as tests/clients does it."""

from tests.clients.conftest import node_modules

__all__ = ["node_modules"]
