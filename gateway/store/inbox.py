"""Commands taken from the parent: admitted on disk before they are acknowledged, never acted on twice."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from gateway.model import Command, CommandResult, RangeSet
from gateway.model.log_ports import Spool
from gateway.store.committer import Committer
from gateway.store.texts import command_of, command_text, ranges_of, ranges_text

MOST_IDS = 10_000  # bounded by count, not age: a step of the clock must not forget an id
MOST_DOWN_LOGS = 64  # a parent makes one for each life of our log.db
FINISH_WITHIN_S = 0.1


class SqliteInbox:
    """Matches `model.log_ports.Inbox` over log.db."""

    def __init__(self, committer: Committer, spool: Spool) -> None:
        """Work beside the opened spool that carries the answers; its log names this start."""
        self._committer = committer
        self._start = spool.log
        self._finished: list[CommandResult] = []
        committer.on_commit(self._prepare, _nobody_waits)

    async def admit(self, command: Command, *, down_log: str, number: int) -> bool:
        """Commit a command before it is acknowledged; False if it was seen before."""
        start = self._start

        def work(connection: sqlite3.Connection) -> bool:
            is_new = _note_number(connection, down_log, number)
            if not is_new:
                return False
            admitted = connection.execute(
                "INSERT OR IGNORE INTO inbox (command_id, start, command) VALUES (?, ?, ?)",
                (command.id, start, command_text(command)),
            )
            connection.execute(
                "DELETE FROM inbox WHERE command IS NULL AND id <= (SELECT id FROM inbox"
                " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (MOST_IDS,),
            )
            return admitted.rowcount == 1

        return await asyncio.shield(self._committer.transaction(work))

    def finish(self, result: CommandResult) -> None:
        """Note the end of a command in the same commit that writes its answer (append that first)."""
        self._finished.append(result)
        self._committer.everything_within(FINISH_WITHIN_S)

    async def unfinished(self) -> Sequence[Command]:
        """Return commands admitted before this start and never finished."""
        start = self._start
        rows = await self._committer.read(
            lambda c: c.execute(
                "SELECT command FROM inbox WHERE command IS NOT NULL AND start <> ? ORDER BY id",
                (start,),
            ).fetchall()
        )
        finished = {result.command_id for result in self._finished}
        commands = [command_of(text) for (text,) in rows]
        return [command for command in commands if command.id not in finished]

    async def taken(self) -> Mapping[str, RangeSet]:
        """Return, per down log, the numbers admitted."""
        rows = await self._committer.read(
            lambda c: c.execute("SELECT down_log, taken FROM down_taken ORDER BY id").fetchall()
        )
        return {down_log: ranges_of(text) for down_log, text in rows}

    def _prepare(self) -> Callable[[sqlite3.Connection], None] | None:
        finished, self._finished = self._finished, []
        if not finished:
            return None
        rows = [(result.outcome.value, result.command_id) for result in finished]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE inbox SET outcome = ?, command = NULL WHERE command_id = ?", rows
            )

        return write


def _note_number(connection: sqlite3.Connection, down_log: str, number: int) -> bool:
    """Put a number into what was taken of a down log; False if it is there already."""
    row = connection.execute(
        "SELECT taken FROM down_taken WHERE down_log = ?", (down_log,)
    ).fetchone()
    taken = ranges_of(row[0]) if row is not None else RangeSet()
    if number in taken:
        return False
    connection.execute(
        "INSERT INTO down_taken (down_log, taken) VALUES (?, ?)"
        " ON CONFLICT (down_log) DO UPDATE SET taken = excluded.taken",
        (down_log, ranges_text(taken.add(number, number))),
    )
    connection.execute(
        "DELETE FROM down_taken WHERE id <= (SELECT id FROM down_taken"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (MOST_DOWN_LOGS,),
    )
    return True


def _nobody_waits() -> None:
    """Do nothing after a commit: the answer's way up is the spool's."""
