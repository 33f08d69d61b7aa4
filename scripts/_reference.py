"""Write the README's generated parts anew: `.venv/bin/python -m scripts._reference`; a test compares them.

Runs inside `.venv`, for the tables come from the program itself.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway.app.broker_numbers import COUNTERS, GAUGES, MOST_CLIENTS
from gateway.app.numbers import metrics_of
from gateway.bridge.discovery import discover
from gateway.broker.access import TABLE, Row, Rule
from gateway.broker.capabilities import ENGINES, MEANINGS, Capability
from gateway.broker.sys_topics import COUNTED, LOADS, OTHERS
from gateway.cli import broker, broker_users
from gateway.cli.main import COMMANDS
from gateway.config.reference import markdown
from gateway.config.roles import SHIPPED
from gateway.mesh.http.app import ROUTES
from gateway.mqtt.ports import PrincipalKind

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

TOPICS = {
    Row.REQUEST: "`whoami`, `update`, `message`, `resetToken`, `getPublicKey`, `generateAndStoreToken`",
    Row.UUID: "`<uuid>` of a device",
    Row.JOB: "`meshblu/request`, `meshblu/firehose`, `meshbluClient/...`",
    Row.SYNC: "`$gateway/1/<uuid>/...`",
    Row.SYS: "`$SYS/...`",
    Row.STATE: "`devices/<slug>/reading`, `event`, `availability`, `result`",
    Row.SET: "`devices/<slug>/set`",
    Row.PLAIN: "every other topic without `$`",
    Row.RESERVED: "every other topic with `$`",
}
"""Kind of topics -> how people write them; a test holds them against `row_of`."""

RULES = {
    Rule.REFUSE: "no",
    Rule.JOB: "asks the mesh",
    Rule.MESH: "by whitelist",
    Rule.OWN_SYNC: "its own",
    Rule.READ: "by role",
    Rule.WRITE: "by role",
    Rule.WRITE_LIVE: "by role, not retained",
    Rule.UNCLAIMED: "by role",
}

PUBLISH = RULES | {Rule.MESH: "no: the mesh does"}

MARKED = re.compile(
    r"^@engines_with\(Capability\.(\w+)\)\n(?:@.*\n)*async def test_(\w+)", re.MULTILINE
)
"""A test of the broker's contract, and the capability it belongs to."""


def parts() -> dict[str, str]:
    """Marker -> the text that belongs between its two comments."""
    return {
        "commands": _table(
            ("command", "what it does"),
            [(f"`gateway {name}`", summary) for name, summary in COMMANDS.items()],
        ),
        "broker": _broker_actions(),
        "sys": _sys(),
        "settings": markdown(),
        "drivers": _drivers(),
        "topics": _topics(),
        "roles": _table(("role", "reads", "writes"), _roles()),
        "routes": _table(
            ("request", "what it does", "login"),
            [
                (f"`{route.method} {route.path}`", route.summary, "" if route.needs_login else "no")
                for route in ROUTES
            ],
        ),
        "metrics": _metrics(),
        "engines": _engines(),
        "clients": _clients(),
    }


def rendered(text: str) -> str:
    """Return the README's text with its generated parts as they should be."""
    for marker, content in parts().items():
        begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{content}{end}{rest.partition(end)[2]}"
    return text


def _drivers() -> str:
    drivers = [found.driver for found in discover().all() if found.driver is not None]
    return _table(
        ("driver", "link", "devices", "its settings"),
        [
            (
                f"`{driver.name}`",
                driver.link.value,
                driver.summary,
                ", ".join(f"`{key}`" for key in driver.settings.model_fields) or "none",
            )
            for driver in drivers
        ],
    )


def _broker_actions() -> str:
    below = {f"user {name}": said for name, said in broker_users.ACTIONS.items()}
    actions = {**broker.ACTIONS, **below}
    del actions["user"]
    return _table(
        ("action", "what it does"),
        [(f"`gateway broker {name}`", said) for name, said in actions.items()],
    )


def _sys() -> str:
    meanings = {**GAUGES, **COUNTERS, "most_clients": MOST_CLIENTS}
    rows = [
        *OTHERS.items(),
        *((topic, meanings[name]) for topic, name in COUNTED.items()),
        *((f"{topic}/1min`, `5min`, `15min", f"The same a minute: {meanings[name]}")
          for topic, name in LOADS.items()),
    ]  # fmt: skip
    return _table(("topic below `$SYS/broker/`", "what is on it"), [(f"`{t}`", m) for t, m in rows])


def _topics() -> str:
    head = ["topic"]
    for kind in PrincipalKind:
        if kind in TABLE:
            head += [f"{kind.value} publishes", f"{kind.value} subscribes"]
    rows = []
    for row, topics in TOPICS.items():
        rules = [TABLE[kind][row] for kind in PrincipalKind if kind in TABLE]
        words = [PUBLISH[publish] if way else RULES[subscribe]
                 for publish, subscribe in rules for way in (True, False)]  # fmt: skip
        rows.append((topics, *words))
    return _table(head, rows)


def _roles() -> Iterable[Sequence[str]]:
    for name, grants in SHIPPED.items():
        reads = " ".join(f"`{grant.pattern}`" for grant in grants if grant.read)
        writes = " ".join(f"`{grant.pattern}`" for grant in grants if grant.write)
        yield f"`{name}`", reads, writes or "nothing"


def _metrics() -> str:
    # The table only looks into a node's parts when somebody asks for its numbers.
    nothing = SimpleNamespace(stores=SimpleNamespace(spool=None), intake=None)
    text = metrics_of(cast("Any", nothing)).documentation()
    return _table(
        ("metric", "kind", "meaning"), [(f"`{name}`", kind, said) for name, kind, said in text]
    )


def _engines() -> str:
    asked: dict[Capability, list[str]] = {}
    for path in sorted((ROOT / "tests" / "contract").glob("test_broker_*.py")):
        for capability, name in MARKED.findall(path.read_text("utf-8")):
            asked.setdefault(Capability[capability], []).append(name.replace("_", " "))
    return _table(
        ("capability", "the contract's tests", *ENGINES),
        [
            (
                f"`{each}`: {meaning}",
                "; ".join(asked[each]),
                *("yes" if each in has else "no" for has in ENGINES.values()),
            )
            for each, meaning in MEANINGS.items()
        ],
    )


def _clients() -> str:
    from tests.clients.mqtt_makers import MAKERS  # noqa: PLC0415 - imports every client
    from tests.clients.mqtt_wire import NAMES, TRANSPORTS  # noqa: PLC0415

    return _table(
        ("client", "MQTT", "over"),
        [
            (
                maker.title,
                ", ".join(NAMES[version] for version in maker.versions),
                ", ".join(said for each, said in TRANSPORTS.items() if each in maker.transports),
            )
            for maker in MAKERS
        ],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    return text + "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
