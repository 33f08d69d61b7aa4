"""Tables of normative statements: number, what it says, and the check that a server keeps it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tests.fakes.raw_scene import Scene

Check = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One statement; `says` is our wording, the standard has its own."""

    number: str
    says: str
    check: Check


class Statements:
    """Rows by number; each number once."""

    def __init__(self, *tables: "Statements") -> None:
        self.rows: dict[str, Row] = {}
        for table in tables:
            for row in table.rows.values():
                self._put(row)

    def _put(self, row: Row) -> None:
        assert row.number not in self.rows, f"{row.number} has two rows"
        self.rows[row.number] = row

    def __call__(self, number: str, says: str) -> Callable[[Check], Check]:
        """Register the check of a statement."""

        def register(check: Check) -> Check:
            self._put(Row(number, says, check))
            return check

        return register

    def closes(
        self, number: str, says: str, *packets: bytes, after_connect: bool = True, version: int = 4
    ) -> None:
        """Register a statement that closes the connection, or never answers the CONNECT, for each of these."""

        async def check(scene: Scene) -> None:
            for index, data in enumerate(packets):
                await expect_closing(
                    scene, data, f"{number}-{index}", after_connect=after_connect, version=version
                )

        self._put(Row(number, says, check))


async def expect_closing(
    scene: Scene,
    data: bytes,
    client_id: str = "wrong",
    *,
    after_connect: bool = True,
    version: int = 4,
    code: int | None = None,
) -> None:
    """Send bytes that are wrong on a connection of their own; it ends, with this reason code in MQTT 5."""
    client = await scene.socket(version)
    if after_connect:
        await client.connect(client_id)
    client.send(data)
    await client.expect_closed(code)


def numbers(section: str, count: int) -> Iterable[str]:
    """Return section-1 ... section-count."""
    return (f"{section}-{index}" for index in range(1, count + 1))
