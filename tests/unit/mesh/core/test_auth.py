"""Tokens and their hashes."""

import hashlib
import hmac

from gateway.mesh.core.auth import TokenHasher, matches, new_token
from tests.fakes.mesh_node import device_uuid

A, B = device_uuid(1), device_uuid(2)


def test_a_hash_is_the_hmac_of_uuid_and_token_behind_the_peppers_id() -> None:
    hashed = TokenHasher(b"pepper").hash(A, "secret")
    keyed = hmac.new(b"pepper", f"{A}secret".encode(), hashlib.sha256).digest()
    assert hashed[4:] == keyed


def test_a_token_is_known_to_its_own_device_alone() -> None:
    hasher = TokenHasher(b"pepper")
    hashes = [hasher.hash(A, new_token()), hasher.hash(A, "secret")]
    assert hasher.is_known(A, "secret", hashes)
    assert hasher.is_known(A, b"secret", hashes)
    assert not hasher.is_known(B, "secret", hashes)
    assert not hasher.is_known(A, "Secret", hashes)
    assert not hasher.is_known(A, "", hashes)


def test_another_pepper_knows_no_token_and_says_whose_hashes_they_are() -> None:
    mine, other = TokenHasher(b"mine"), TokenHasher(b"other")
    hashed = mine.hash(A, "secret")
    assert not other.is_known(A, "secret", [hashed])
    assert mine.owns(hashed)
    assert not other.owns(hashed)


def test_nothing_matches_no_hashes() -> None:
    assert not matches(b"x", [])


def test_tokens_are_forty_hex_digits_and_differ() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 40 and int(token, 16) >= 0 for token in tokens)
