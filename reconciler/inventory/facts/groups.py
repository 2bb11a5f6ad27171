"""Groups of the node's own user database."""

from reconciler.inventory.fact import Asked, Fact, Rows, always, number
from reconciler.inventory.texts import lines_of
from reconciler.model.known import JsonValue

PATH = "/etc/group"


def parse(stdout: str, _: Asked) -> Rows:
    """Read group(5); of two lines of one name the first counts, as getgrnam has it."""
    rows: dict[str, JsonValue] = {}
    for line in lines_of(stdout, PATH):
        if not line or line.startswith(("+", "-", "#")):
            continue
        try:
            name, _password, gid, members = line.split(":")
            rows.setdefault(name, {"gid": number(gid), "members": sorted(filter(None, members.split(",")))})
        except ValueError:
            raise ValueError(f"{PATH}: not a group: line of {line.partition(':')[0][:40]!r}") from None
    if not rows:
        raise ValueError(f"{PATH} holds no group")
    return rows


FACT = Fact(section="groups", watch=PATH, reads=always(f'set -- "$@" groups:{PATH}'), parse=parse)
