"""Every command and action explains itself with one sentence and an example that the program understands."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command and action with its parser."""
    for name in COMMANDS:
        command = _below(build_parser(name))[name]
        yield name, command
        for action, parser in _below(command).items():
            yield f"{name} {action}", parser


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


PARSERS = dict(parsers())


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """Return the command lines of a help text, without what explains them."""
    found = re.findall(
        r"(?:^|: +| {2})(gateway .+?)(?: {2,}.*)?$", parser.epilog or "", re.MULTILINE
    )
    return [re.sub(r" < .*", "", line) for line in found]  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_has_a_sentence_and_an_example_of_itself(name: str) -> None:
    parser = PARSERS[name]
    assert parser.description
    assert parser.description.endswith(".")
    assert [line for line in examples(parser) if line.startswith(f"gateway {name}")]


@pytest.mark.parametrize("name", PARSERS)
def test_the_program_understands_its_examples(name: str) -> None:
    for line in examples(PARSERS[name]):
        words = shlex.split(line)[1:]
        assert build_parser(words[0]).parse_args(words).command == words[0]


def test_files_that_examples_name_in_the_checkout_are_there() -> None:
    named = {word for parser in PARSERS.values() for line in examples(parser)
             for word in shlex.split(line) if "/captures/" in word}  # fmt: skip
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_every_option_and_argument_is_explained() -> None:
    silent = [
        (name, action.dest)
        for name, parser in PARSERS.items()
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert silent == []
