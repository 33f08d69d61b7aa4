"""What operators may ask of the broker, under the names that the control socket uses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from gateway.app.control import Arguments

if TYPE_CHECKING:
    from gateway.app.parts import Parts


def broker_operations(parts: "Parts") -> Mapping[str, Callable[[Arguments], Awaitable[object]]]:
    """Return operation -> what carries it out."""
    return {**parts.mesh.accounts.operations}
