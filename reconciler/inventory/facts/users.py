"""User accounts of the node's own user database; no comments, no passwords, no login times."""

from reconciler.inventory.fact import Asked, Fact, Rows, always, number
from reconciler.inventory.texts import lines_of
from reconciler.model.known import JsonValue

PATH = "/etc/passwd"


def parse(stdout: str, _: Asked) -> Rows:
    """Read passwd(5); of two lines of one name the first counts, as getpwnam has it."""
    rows: dict[str, JsonValue] = {}
    for line in lines_of(stdout, PATH):
        if not line or line.startswith(("+", "-", "#")):  # NIS's entries are no local accounts
            continue
        try:
            name, _password, uid, gid, _comment, home, shell = line.split(":")
            rows.setdefault(name, {"uid": number(uid), "gid": number(gid), "home": home, "shell": shell})
        except ValueError:
            raise ValueError(f"{PATH}: not an account: line of {line.partition(':')[0][:40]!r}") from None
    if not rows:
        raise ValueError(f"{PATH} holds no account")
    return rows


FACT = Fact(section="users", watch=PATH, reads=always(f'set -- "$@" users:{PATH}'), parse=parse)
