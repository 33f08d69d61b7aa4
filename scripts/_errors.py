"""The one error the scripts raise on purpose: what happened, its code, and the command that mends it."""

import sys
from collections.abc import Callable


class ScriptError(Exception):
    """`text` says what happened to which thing, `hint` what to type next."""

    def __init__(self, text: str, *, code: str, hint: str) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.code} {self.text}\n  what to do: {self.hint}"


def exit_with(name: str, run: Callable[[], int]) -> None:
    """Run a script's main function and leave with its exit code; errors become two lines on stderr."""
    try:
        sys.exit(run())
    except ScriptError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
