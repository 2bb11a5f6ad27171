"""Expected users and groups as claims; apart, because one looks into the other's section; pure."""

from collections.abc import Iterator
from functools import partial

from reconciler.drift.claims import ABSENT, Claim, Judged, attribute, words
from reconciler.drift.view import View, fields_of, texts_of
from reconciler.model.association import Expectations, ExpectedGroup, ExpectedUser, Presence
from reconciler.model.known import JsonValue


def account_claims(expect: Expectations) -> Iterator[Claim]:
    """Give the claims of users and groups."""
    for user in expect.users:
        alone = user.group is None and not user.groups
        row = ("users", user.name) if alone else None
        yield Claim(subject=f"user {user.name}", judge=partial(_user, user), row=row)
    for group in expect.groups:
        row = None if group.members else ("groups", group.name)
        yield Claim(subject=f"group {group.name}", judge=partial(_group, group), row=row)


def _user(user: ExpectedUser, view: View) -> Judged:
    value = view.row("users", user.name)
    if user.state is Presence.ABSENT:
        return None if value is None else (ABSENT, "present")
    if value is None:
        return "present", ABSENT
    row = fields_of(value, f"user {user.name}")
    found = attribute("uid", user.uid, row.get("uid"))
    if user.group is not None:
        primary = view.row("groups", user.group)
        gid = None if primary is None else fields_of(primary, f"group {user.group}").get("gid")
        if gid is None or gid != row.get("gid"):
            found.append((f"group {user.group}", f"gid {row.get('gid')}"))
    if missing := [name for name in user.groups if not _is_member(view, user.name, row.get("gid"), name)]:
        found.append((f"in {', '.join(missing)}", f"not in {', '.join(missing)}"))
    found += attribute("home", user.home, row.get("home")) + attribute("shell", user.shell, row.get("shell"))
    return words(found)


def _is_member(view: View, name: str, gid: JsonValue, group: str) -> bool:
    """Whether a user is in a group, by the group's list or because it is the user's own."""
    value = view.row("groups", group)
    if value is None:
        return False
    row = fields_of(value, f"group {group}")
    return row.get("gid") == gid or name in texts_of(row.get("members"), f"group {group}")


def _group(group: ExpectedGroup, view: View) -> Judged:
    value = view.row("groups", group.name)
    if group.state is Presence.ABSENT:
        return None if value is None else (ABSENT, "present")
    if value is None:
        return "present", ABSENT
    row = fields_of(value, f"group {group.name}")
    found = attribute("gid", group.gid, row.get("gid"))
    members = texts_of(row.get("members"), f"group {group.name}")
    missing = [name for name in group.members if name not in members and not _has_gid(view, name, row.get("gid"))]
    if missing:
        found.append((f"members {', '.join(missing)}", f"members {', '.join(members) or 'none'}"))
    return words(found)


def _has_gid(view: View, name: str, gid: JsonValue) -> bool:
    value = view.row("users", name)
    return value is not None and fields_of(value, f"user {name}").get("gid") == gid
