"""Bodies of messages as Meshblu JSON: what cannot be sent on is malformed, never an error of ours."""

import pytest

from gateway.errors import MalformedFrameError
from gateway.model import DeviceUuid, Message, MessageKind, Stamp
from gateway.model.wire import body_object


def message(body: bytes) -> Message:
    sender = DeviceUuid("00000000-0000-4000-8000-000000000001")
    return Message("m", MessageKind.MESSAGE, sender, body, Stamp("boot", 1))


@pytest.mark.parametrize(
    "body",
    [b"[1]", b"{", b'{"a":"\\ud800"}', b'{"a":"\xed\xa0\x80"}', b'{"a":' + b"[" * 200_000 + b"}"],
)
def test_a_body_that_means_nothing_or_cannot_be_sent_on_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        body_object(message(body))


def test_a_body_with_any_whole_character_is_taken() -> None:
    assert body_object(message(b'{"a":"\\ud83d\\ude00 \xc3\xa4"}')) == {"a": "\U0001f600 ä"}
