"""A part of the node that a person must mend first: it is left out and shown, the rest runs."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from gateway.config.problems import Parked
from gateway.errors import ConfigError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def parking(what: str, park: Callable[[Parked], None]) -> Iterator[None]:
    """Within the block, a ConfigError parks `what` instead of ending the node."""
    try:
        yield
    except ConfigError as error:
        log.error("parked", extra={"what": what, "code": error.code, "error": error.text})  # noqa: TRY400 - its words say it
        park(Parked(what, error.code, error.text, error.hint))
