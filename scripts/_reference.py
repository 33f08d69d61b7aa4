"""Write the README's generated parts anew: `.venv/bin/python -m scripts._reference`; a test compares them.

Runs inside `.venv`, for the tables come from the program itself.
"""

from pathlib import Path

from gateway.cli.main import COMMANDS
from gateway.config.reference import markdown

README = Path(__file__).resolve().parent.parent / "README.md"


def parts() -> dict[str, str]:
    """Marker -> the text that belongs between its two comments."""
    rows = "".join(f"| `gateway {name}` | {summary} |\n" for name, summary in COMMANDS.items())
    return {
        "commands": f"| command | what it does |\n|---|---|\n{rows}",
        "settings": markdown(),
    }


def rendered(text: str) -> str:
    """Return the README's text with its generated parts as they should be."""
    for marker, content in parts().items():
        begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{content}{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
