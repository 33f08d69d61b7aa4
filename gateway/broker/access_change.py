"""What becomes of an identity's sessions, live and kept, when what it may do changes."""

from typing import TYPE_CHECKING

from gateway.mqtt.ports import Principal, PrincipalKind

if TYPE_CHECKING:
    from gateway.broker.server import Broker


def user_changed(broker: "Broker", name: str, principal: Principal | None, reason: str) -> int:
    """Let a change of a user hold at once; returns how many live sessions were ended.

    Live sessions end (their wills are judged by what the user may do now); kept ones are judged again, or
    dropped with all that waits in them where the user is no more (`principal` None).
    """
    now = principal or Principal(PrincipalKind.USER, name)
    live = broker.sessions_of(name)
    for connection in live:
        connection.principal = now
        if connection.session is not None:
            connection.session.principal = now
    broker.wills.owner_changed(now)
    broker.access_changed()
    for connection in live:
        broker.kick(connection, reason)
    for key in [key for key in broker.registry.kept if key[0] == name]:
        if principal is None:
            broker.registry.drop_kept(key)
        else:
            session = broker.registry.kept[key][0]
            session.principal = principal
            broker.judge_again(session)
    broker.access_changed()
    return len(live)
