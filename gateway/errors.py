"""Every error this project raises on purpose; the class says what to do, the text how to mend it.

    GatewayError
      ConfigError                a person must change a file
      TransientError             try again later
        LinkLostError            a port or radio went away
        ParentUnreachableError   no answer from the parent
        BrokerDownError          the broker can't be reached
        StoreBusyError           the database is locked by somebody else
      PeerError                  the other side is wrong
        MalformedFrameError      count it, drop it
        MessageRefusedError      dead letter
      AccessError                who you are, or what you may do
        BadTokenError            stop and alert
        ForbiddenError           403
      StoreError                 the disk
        StoreFullError           evict, alert
        StoreCorruptError        last good copy, or salvage; alert
      UnsupportedCommandError    answered to the sender of the command
      CommandExpiredError        answered to the sender of the command

Each carries a stable code (`GW-1203`) that `gateway explain` describes from `gateway/codes/*.toml`, and a
hint: one sentence that tells a person what to do next.  Anything else that escapes is a bug.
"""


class GatewayError(Exception):
    """Base of all: `text` says what happened to which thing, `hint` what to do next."""

    def __init__(self, text: str, *, code: str, hint: str) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        return (
            f"{self.code} {self.text} -> {self.hint}" if self.hint else f"{self.code} {self.text}"
        )


class ConfigError(GatewayError):
    """A person must change a file or a setting."""


class TransientError(GatewayError):
    """Try again later; nothing is wrong with us or with the request."""


class LinkLostError(TransientError):
    """A port or radio went away; the link reopens it by itself."""


class ParentUnreachableError(TransientError):
    """The parent does not answer; the spool keeps what it should have."""


class BrokerDownError(TransientError):
    """The broker can't be reached."""


class StoreBusyError(TransientError):
    """The database is held by another process."""


class PeerError(GatewayError):
    """The other side broke the rules."""


class MalformedFrameError(PeerError):
    """A frame that does not parse: counted and dropped."""


class MessageRefusedError(PeerError):
    """The mesh refused a message for good: it becomes a dead letter."""


class AccessError(GatewayError):
    """Who somebody is, or what they may do."""


class BadTokenError(AccessError):
    """A token that is not (or no longer) valid: stop, alert, ask a person."""


class ForbiddenError(AccessError):
    """Known, but not allowed."""


class StoreError(GatewayError):
    """The disk or a database on it."""


class StoreFullError(StoreError):
    """No space left: evict by policy, alert."""


class StoreCorruptError(StoreError):
    """A database that fails its checks: salvage or last good copy, alert."""


class UnsupportedCommandError(GatewayError):
    """The device has no such command."""


class CommandExpiredError(GatewayError):
    """The command's deadline passed before it could be written."""
