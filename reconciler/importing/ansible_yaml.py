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


def _take_group(name: str, value: Value, file: str, inventory: Inventory, mistakes: Mistakes, line: int) -> None:
    if inventory.is_too_large(mistakes, line):
        return
    inventory.group(name, f"{file}:{line}")
    if is_null(value):
        return
    if not isinstance(value, Table) or not value.entries.keys() <= _PARTS:
        mistakes.error(value, f"group {name} holds something else than hosts, children and vars", remedy="take it out")
        return
    for part in value.entries:
        _take_part(name, part, value, file, inventory, mistakes)


def _take_part(group: str, part: str, value: Table, file: str, inventory: Inventory, mistakes: Mistakes) -> None:
    entry = value.entries[part]
    if is_null(entry):
        return
    table = _names_alone(value, part) if isinstance(entry, Items) and part != "vars" else entry
    if not isinstance(table, Table):
        mistakes.error(entry, f"{part} of group {group} is no mapping", remedy=f"write `{part}:` and names below it")
    elif part == "vars":
        inventory.groups[group].variables.update(_variables(table, file))
    elif part == "children":
        for child, inner in table.entries.items():
            line = table.places[child][0]
            inventory.groups[group].children.setdefault(child, f"{file}:{line}")
            _take_group(child, inner, file, inventory, mistakes, line)
    else:
        _take_hosts(group, table, file, inventory, mistakes)


def _names_alone(value: Table, part: str) -> Table:
    """Read a list of names as what it means: a mapping without values."""
    names = value.texts(part)
    nothing = {name.text: Scalar("", plain=True, line=name.line, column=name.column) for name in names}
    return Table(dict(nothing), {name.text: (name.line, name.column) for name in names}, value.line, value.column)


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
