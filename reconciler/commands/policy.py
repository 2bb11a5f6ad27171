"""May this login send this command: the rules of the host settings, decided with the reason; pure."""

from collections.abc import Iterator

from reconciler.commands.command import Command
from reconciler.errors import SettingsError, UsageError
from reconciler.model.command_rule import CommandRule
from reconciler.model.desired import DesiredState
from reconciler.targets.selector import parse_selectors


def why_not(rules: tuple[CommandRule, ...], login: str, command: Command, desired: DesiredState) -> str | None:
    """Say why no rule lets `login` send this command; None: one does, or there are no rules."""
    if not rules:
        return None
    own = [rule for rule in rules if login in rule.logins]
    if not own:
        return f"no rule of SendCommand in the host settings names {login}"
    reasons = [_why_not(rule, command, desired) for rule in own]
    return None if None in reasons else "; ".join(reason for reason in reasons if reason is not None)


def _why_not(rule: CommandRule, command: Command, desired: DesiredState) -> str | None:
    return next(_broken(rule, command, desired), None)


def _broken(rule: CommandRule, command: Command, desired: DesiredState) -> Iterator[str]:
    who = ", ".join(rule.logins)
    if rule.documents and command.from_file:
        yield f"{who} may send {', '.join(rule.documents)}, and no document from a file"
    elif rule.documents and command.document.name not in rule.documents:
        yield f"{who} may send {', '.join(rule.documents)}, not {command.document.name}"
    if rule.max_nodes is not None and len(command.nodes) > rule.max_nodes:
        most = "1 node" if rule.max_nodes == 1 else f"{rule.max_nodes} nodes"
        yield f"{who} may send to {most} at most, not to {len(command.nodes)}"
    try:
        is_meant = parse_selectors(rule.targets, desired.groups)
    except UsageError as exc:
        raise SettingsError(f"host settings, SendCommand, Targets: {exc}") from exc
    outside = [node for node in command.nodes if not is_meant(desired.nodes[node])]
    if outside:
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        yield f"{who} may send to {' or '.join(rule.targets)}, not to {outside[0]}{more}"
