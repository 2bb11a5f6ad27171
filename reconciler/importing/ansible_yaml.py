"""Ansible's YAML: inventories and files of variables -> hosts, groups and variables. No tag is obeyed, no template filled in."""

import re

from reconciler.importing.ansible_ini import Refused, host_names
from reconciler.importing.inventory import WANTED, Inventory
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.ssh_config import Said
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null
from reconciler.model.reading.yaml_text import read_yaml

_TAGS = re.compile(rb"(?m)(?<=[ \t])!(?:vault-encrypted|vault|unsafe)(?=[ \t\r\n])")
_PARTS = frozenset({"hosts", "children", "vars"})


def read_yaml_inventory(file: str, data: bytes, inventory: Inventory, mistakes: Mistakes) -> None:
    """Add what a YAML (or JSON) inventory says."""
    for value in _documents(data, mistakes):
        if not isinstance(value, Table):
            mistakes.error(value, "not an inventory: a mapping of groups was expected", remedy="begin with `all:`")
            continue
        for name, group in value.entries.items():
            if name == "_meta":
                _take_meta(group, file, inventory)
            else:
                _take_group(name, group, file, inventory, mistakes, value.places[name][0])


def _take_meta(value: Value, file: str, inventory: Inventory) -> None:
    """Take the hosts' variables where `ansible-inventory --list` writes them."""
    hosts = value.table("hostvars") if isinstance(value, Table) else None
    for name, variables in () if hosts is None else hosts.entries.items():
        if isinstance(variables, Table):
            inventory.host(name, f"{file}:{variables.line}").update(_variables(variables, file))


def read_variables(file: str, data: bytes, mistakes: Mistakes) -> dict[str, Said]:
    """Give the variables of a file in group_vars or host_vars that say how a host is reached."""
    found: dict[str, Said] = {}
    for value in _documents(data, mistakes):
        if isinstance(value, Table):
            found.update(_variables(value, file))
        else:
            mistakes.error(value, "not a file of variables: a mapping was expected", remedy="write `name: value`")
    return found


def _documents(data: bytes, mistakes: Mistakes) -> list[Value]:
    # Ansible's own tags become blanks: what they mark is recognised by what it says, and every column stays.
    plain = _TAGS.sub(lambda tag: b" " * len(tag[0]), data)
    return [value for value in read_yaml(plain, mistakes) if not is_null(value)]


def _variables(table: Table, file: str) -> dict[str, Said]:
    return {
        name: Said(value.text, file, value.line)
        for name, value in table.entries.items()
        if name.startswith(WANTED) and isinstance(value, Scalar) and not is_null(value)
    }


def _take_group(
    name: str, value: Value, file: str, inventory: Inventory, mistakes: Mistakes, line: int
) -> None:
    if inventory.is_too_large(mistakes, line):
        return
    group = inventory.group(name, f"{file}:{line}")
    if is_null(value):
        return
    if not isinstance(value, Table) or not value.entries.keys() <= _PARTS:
        mistakes.error(value, f"group {name} holds something else than hosts, children and vars", remedy="take it out")
        return
    for part, entry in value.entries.items():
        if is_null(entry):
            continue
        if isinstance(entry, Items) and part != "vars":
            entry = Table(  # noqa: PLW2901  (a list of names means the same as a mapping without values)
                {item.text: Scalar("", plain=True, line=item.line, column=item.column) for item in value.texts(part)},
                {item.text: (item.line, item.column) for item in value.texts(part)},
                entry.line,
                entry.column,
            )
        if not isinstance(entry, Table):
            mistakes.error(entry, f"{part} of group {name} is no mapping", remedy=f"write `{part}:` and names below it")
        elif part == "vars":
            group.variables.update(_variables(entry, file))
        elif part == "children":
            for child, inner in entry.entries.items():
                at = entry.places[child][0]
                group.children.setdefault(child, f"{file}:{at}")
                _take_group(child, inner, file, inventory, mistakes, at)
        else:
            _take_hosts(name, entry, file, inventory, mistakes)


def _take_hosts(group: str, table: Table, file: str, inventory: Inventory, mistakes: Mistakes) -> None:
    for template, value in table.entries.items():
        line = table.places[template][0]
        if not is_null(value) and not isinstance(value, Table):
            mistakes.error(value, f"host {template} has something else than variables", remedy="write `name: value`")
            continue
        try:
            names = list(host_names(template))
        except Refused as why:
            mistakes.error((line, 1), why.message, value=template, remedy=why.remedy)
            continue
        for name in names:
            inventory.host(name, f"{file}:{line}").update(_variables(value, file) if isinstance(value, Table) else {})
            inventory.group(group, f"{file}:{line}").hosts[name] = None
        if inventory.is_too_large(mistakes, line):
            return
