"""Documents on their way up: every frame fits the parent's packets, whatever people wrote into a document."""

from gateway.uplink.protocol.frames import encode
from gateway.uplink.protocol.registers import DOCUMENT_BYTES, digest, parts, registration

PACKET_BYTES = 262_144  # mqtt.limits.most_packet_bytes, as it is by default


def document(n: int, **more: object) -> dict[str, object]:
    return {"uuid": f"{n:08x}-0000-4000-8000-000000000000", "type": "lamp", **more}


def test_many_large_documents_are_cut_into_frames_that_a_parent_takes() -> None:
    devices = [registration(document(n, text="x" * 20_000)) for n in range(200)]
    frames = parts(devices, digest(devices))
    assert [device for frame in frames for device in frame.devices] == devices
    assert all(len(encode(frame)) < PACKET_BYTES for frame in frames)
    assert [frame.digest for frame in frames] == [""] * (len(frames) - 1) + [digest(devices)]


def test_a_document_that_no_frame_could_hold_is_told_by_its_small_fields() -> None:
    told = registration(document(1, name="Lamp", blob="x" * 1_000_000)).document
    assert told == document(1, name="Lamp")
    many = registration(document(1, **{f"k{n}": "x" * 1000 for n in range(1000)})).document
    assert many["uuid"] == document(1)["uuid"]
    assert len(str(many)) <= DOCUMENT_BYTES


def test_no_devices_are_one_frame_with_its_digest() -> None:
    (frame,) = parts([], "none")
    assert (frame.devices, frame.digest) == ((), "none")
