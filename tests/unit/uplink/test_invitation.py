"""Join lines: what is printed is read again, and what is wrong is said."""

import pytest

from gateway.errors import ConfigError
from gateway.uplink.invitation import code_hash, new_invite, parse_line

PIN = "ab" * 32


@pytest.mark.parametrize(
    ("host", "pin"),
    [("127.0.0.1", None), ("site.example", PIN), ("::1", None), ("2001:db8::1", PIN)],
)
def test_a_line_is_read_as_it_was_made(host, pin):
    invite = new_invite(host, 8883, pin)
    assert parse_line(f"  {invite.line}\n") == invite
    assert parse_line(invite.line.lower()).code_hash == invite.code_hash


def test_a_code_has_fifty_bits_and_is_not_shown():
    codes = {new_invite("::1", 1, None).code for _ in range(200)}
    assert len(codes) == 200
    assert all(31 ** len(code) > 2**50 for code in codes)
    invite = new_invite("::1", 1, None)
    assert invite.code not in repr(invite)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", "form"),
        ("gateway-join2:a:1:plain:AAAABBBBCCCC", "form"),
        ("gateway-join1:localhost:99999:plain:AAAABBBBCCCC", "port"),
        ("gateway-join1:localhost:1883:abc:AAAABBBBCCCC", "fingerprint"),
        ("gateway-join1:localhost:1883:plain:AAAA", "code"),
        ("gateway-join1:localhost:1883:plain:AAAABBBBCCC0", "code"),
    ],
)
def test_a_mistyped_line_says_what_is_wrong(line, word):
    with pytest.raises(ConfigError, match=word) as caught:
        parse_line(line)
    assert caught.value.code == "GW-1605"


def test_plain_to_another_machine_is_refused():
    with pytest.raises(ConfigError) as caught:
        parse_line("gateway-join1:site.example:1883:plain:AAAABBBBCCCC")
    assert caught.value.code == "GW-1606"


def test_dashes_and_case_do_not_change_a_code():
    assert code_hash("aaaa-bbbb-cccc") == code_hash("AAAABBBBCCCC")
