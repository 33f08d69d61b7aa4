"""Short names of devices: what stands in `devices/<slug>/…`; made once, kept until somebody renames the device."""

import re
from collections.abc import Container

from gateway.model.reading import HardwareId

MOST_CHARS = 64
DEMO = "demo-"
SLUG = re.compile(r"[a-z0-9_-]{1,64}\Z")
UNFIT = re.compile(r"[^a-z0-9_]+")
BLE = "ble:"


def is_slug(text: str) -> bool:
    """Return whether `text` may be a slug."""
    return SLUG.match(text) is not None


def slug_for(hardware_id: HardwareId, *, driver: str, link: str, origin: str, is_demo: bool) -> str:
    """Return the natural slug of a device: its own id, else (BLE) driver and end of address, else its link's name."""
    if hardware_id.startswith(BLE):
        text = f"{driver}-{hardware_id.replace(':', '')[-6:]}"
    elif origin and hardware_id.startswith(f"{origin}/"):
        text = hardware_id[len(origin) + 1 :]
    elif hardware_id == origin:
        text = link
    else:
        text = hardware_id
    slug = UNFIT.sub("-", text.lower()).strip("-") or UNFIT.sub("-", driver.lower()) or "device"
    if is_demo and not slug.startswith(DEMO):
        slug = DEMO + slug
    return slug[:MOST_CHARS]


def free(slug: str, taken: Container[str]) -> str:
    """Return `slug`, or with the first number behind it that makes it the only one."""
    if slug not in taken:
        return slug
    number = 2
    while (numbered := f"{slug[: MOST_CHARS - len(str(number)) - 1]}-{number}") in taken:
        number += 1
    return numbered
