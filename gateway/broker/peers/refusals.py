"""What another broker's refusals mean, and what a person can do about each."""

import ssl
from dataclasses import dataclass, field

from gateway.errors import BadTokenError, BrokerDownError, ConfigError, GatewayError
from gateway.mqtt import reasons

LOGIN_REASONS = frozenset(
    {
        reasons.BAD_USER_NAME_OR_PASSWORD,
        reasons.NOT_AUTHORIZED,
        reasons.BANNED,
        reasons.BAD_AUTHENTICATION_METHOD,
    }
)
SETTING_HINTS = {
    reasons.UNSUPPORTED_PROTOCOL_VERSION: 'set `version = "auto"` in this bridge, or update the broker',
    reasons.CLIENT_IDENTIFIER_NOT_VALID: "set a `client_id` that the broker takes, often shorter",
    reasons.USE_ANOTHER_SERVER: "name the other server as `host` of this bridge",
    reasons.SERVER_MOVED: "name the new server as `host` of this bridge",
}
FOR_A_PERSON = (ConfigError, BadTokenError)


class NotSpokenError(BrokerDownError):
    """The broker hung up, or said that it does not speak this dialect: another may do."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Whom to call, and as whom."""

    bridge: str
    host: str
    port: int
    context: ssl.SSLContext | None
    client_id: str
    username: str | None
    password: str | None = field(repr=False)
    keep_alive_s: int
    state_topic: str | None
    is_kept: bool  # the other broker keeps our session, because something comes from there

    @property
    def text(self) -> str:
        """Return "host:port"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def refused(dial: Dial, reason: int, said: str) -> GatewayError:
    """Return the error of a CONNACK with this MQTT 5 reason code."""
    head = f"bridge {dial.bridge}: the broker at {dial.text} "
    if reason == reasons.UNSUPPORTED_PROTOCOL_VERSION:
        return NotSpokenError(
            f"{head}does not speak this version of MQTT: {said}",
            code="GW-1144",
            hint=SETTING_HINTS[reason],
        )
    if reason in LOGIN_REASONS:
        who = f"user {dial.username!r}" if dial.username else "a client without user name"
        return BadTokenError(
            f"{head}refuses {who} ({said})",
            code="GW-1143",
            hint="check `username` and `password_file` of this bridge, and the broker's own list of users",
        )
    if reason in SETTING_HINTS:
        return ConfigError(
            f"{head}refuses the bridge: {said}", code="GW-1144", hint=SETTING_HINTS[reason]
        )
    return unreachable(dial, f"it refuses the bridge for now: {said}")


def unreachable(dial: Dial, why: str) -> BrokerDownError:
    """Return the error of a broker that does not answer, or not now."""
    return BrokerDownError(
        f"bridge {dial.bridge}: the broker at {dial.text} cannot be reached: {why}",
        code="GW-1141",
        hint="check that it runs and the network; the bridge tries again by itself, and what waits for it is kept",
    )


def taken_over(dial: Dial) -> ConfigError:
    """Return the error of a session that another client took."""
    return ConfigError(
        f"bridge {dial.bridge}: another client at {dial.text} uses the client id {dial.client_id!r}",
        code="GW-1149",
        hint="give one of the two another `client_id`; a copied configuration or SD card does this",
    )


def insecure(dial: Dial, error: ssl.SSLError) -> ConfigError:
    """Return the error of a TLS handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not trusted: {error.verify_message}"
        hint = "name the CA that signed it with `ca_file`, and as `host` the name that stands in it"
    else:
        why = f"TLS failed: {error.reason or error}"
        hint = "check `port` (a plain listener has 1883: `tls = false`) and the client certificate"
    return ConfigError(f"bridge {dial.bridge}: {dial.text}: {why}", code="GW-1142", hint=hint)
