"""Who is banned stays away for as long as it was said, whatever it knows."""

from collections.abc import Callable

from gateway.app.bans import BANNED, Bans
from gateway.mqtt.ports import Credentials, Principal, PrincipalKind, Rejected

ANNA = Principal(PrincipalKind.USER, "anna")
WRONG = Rejected(4, "no")


class Door:
    """Bans before an authenticator that knows one password, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bans = Bans(self._authenticate, now=lambda: self.now)

    def _authenticate(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        is_right = credentials.password == b"right"
        done(Principal(PrincipalKind.USER, str(credentials.username)) if is_right else WRONG)

    def knock(self, name: str, password: bytes = b"right") -> Principal | Rejected:
        answers: list[Principal | Rejected] = []
        self.bans(Credentials("c", name, password, "p:1", "tcp"), answers.append)
        [answer] = answers
        return answer


def test_a_banned_identity_comes_back_when_its_time_is_over() -> None:
    door = Door()
    assert door.knock("anna") == ANNA
    door.bans.ban("anna", 60.0)
    door.now = 59.0
    assert door.knock("anna") == BANNED
    assert door.knock("bob") == Principal(PrincipalKind.USER, "bob")
    door.now = 60.0
    assert door.knock("anna") == ANNA


def test_a_ban_holds_for_a_login_that_is_being_checked() -> None:
    checked: list[Callable[[Principal | Rejected], None]] = []
    bans, answers = Bans(lambda _, done: checked.append(done)), []
    bans(Credentials("c", "anna", b"right", "p:1", "tcp"), answers.append)
    bans.ban("anna", 60.0)
    checked[0](ANNA)
    assert answers == [BANNED]


def test_a_wrong_password_is_told_no_more_than_ever() -> None:
    door = Door()
    door.bans.ban("anna", 60.0)
    assert door.knock("anna", b"guess") == WRONG


def test_a_ban_does_not_count_as_a_guess() -> None:
    assert BANNED.code == 3  # what the budgets of failed logins leave out


def test_bans_that_are_over_are_forgotten() -> None:
    door = Door()
    for number in range(100):
        door.bans.ban(f"user-{number}", 1.0)
        door.now += 2.0
    assert len(door.bans._until) == 1
