"""By which names and addresses other machines may call this one: what its certificate has to say."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FIB_TRIE, IF_INET6 = Path("/proc/net/fib_trie"), Path("/proc/net/if_inet6")
LINK_LOCAL, TEMPORARY = (
    0x20,
    0x01,
)  # scope and flag of /proc/net/if_inet6: neither is of use in a certificate
MOST_ADDRESSES = 32
DNS_NAME = re.compile(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+")
ALWAYS = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class MachineNames:
    """Host names and addresses, each sorted."""

    dns: tuple[str, ...]
    addresses: tuple[str, ...]

    def covers(self, other: "MachineNames") -> bool:
        """Return whether every name of the other one is among these."""
        return set(self.dns) >= set(other.dns) and set(self.addresses) >= set(other.addresses)


def names_of_this_machine(more: Iterable[str] = ()) -> MachineNames:
    """Return the names now; `more` are names or addresses that a person knows of."""
    host = socket.gethostname()
    short = host.partition(".")[0]
    dns = {"localhost", host, short, f"{short}.local"}
    addresses = {*ALWAYS, *_addresses4(), *_addresses6()}
    wanted: set[str] = set()
    for name in more:
        if _is_address(name):
            wanted.add(str(ipaddress.ip_address(name)))
        else:
            dns.add(name)
    room = MOST_ADDRESSES - len(wanted)
    return MachineNames(
        tuple(sorted(name.lower() for name in dns if DNS_NAME.fullmatch(name))),
        tuple(sorted(wanted | set(sorted(addresses)[:room]))),
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _addresses4() -> set[str]:
    """Return this machine's IPv4 addresses: local hosts of the kernel's routing table."""
    found, last = set(), ""
    for line in _lines(FIB_TRIE):
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"] and not last.startswith("127."):
            found.add(last)
    return found


def _addresses6() -> set[str]:
    found = set()
    for line in _lines(IF_INET6):
        address, _index, _prefix, scope, flags, _name = line.split()
        if int(scope, 16) != LINK_LOCAL and not int(flags, 16) & TEMPORARY:
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(address))))
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except OSError:
        return []  # not Linux: host names must do
