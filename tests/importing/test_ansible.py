"""What `import ansible` takes from inventories, and what it tells instead of evaluating."""

from pathlib import PurePosixPath

import pytest

from reconciler.errors import DesiredStateError
from reconciler.importing.ansible import Source, Sources, nodes_of
from reconciler.importing.harvest import FoundNode, Harvest
from reconciler.importing.keys import KeyPlace

KEYS = KeyPlace(directory=PurePosixPath("/home/me/.ssh"), home=PurePosixPath("/home/me"))


def harvest(
    text: str,
    file: str = "hosts.ini",
    *,
    group_vars: dict[str, str] | None = None,
    host_vars: dict[str, str] | None = None,
) -> Harvest:
    """Give what is imported from an inventory."""
    return nodes_of(
        Sources(
            inventories=(Source(file=file, data=text.encode()),),
            group_vars=_files("group_vars", group_vars),
            host_vars=_files("host_vars", host_vars),
        ),
        KEYS,
    )


def _files(folder: str, texts: dict[str, str] | None) -> tuple[Source, ...]:
    return tuple(
        Source(file=f"{folder}/{owner}.yml", data=text.encode(), owner=owner) for owner, text in (texts or {}).items()
    )


def nodes(found: Harvest) -> dict[str, FoundNode]:
    """Give the imported nodes by id."""
    return {str(node.id): node for node in found.nodes}


def notes(found: Harvest) -> str:
    """Give everything that was told, one a line."""
    return "\n".join(str(note) for note in found.notes)


INI = """\
; a comment
lone ansible_host=10.1.1.1 ansible_ssh_port=2200   # another
[2001:db8::5]:2222
[web]
web[01:03] ansible_user=ops
[db]
db-[a:c:2].example.org:2222 ansible_become=yes
[prod:children]
web
db
[prod:vars]
ansible_user = "prod"
ansible_ssh_private_key_file=~/.ssh/fleet
secret_number = 42
"""

YAML = """\
all:
  hosts:
    lone: {ansible_host: 10.1.1.1, ansible_port: 2200}
    2001:db8::5: {ansible_port: 2222}
  children:
    prod:
      vars: {ansible_user: prod, ansible_ssh_private_key_file: ~/.ssh/fleet}
      children:
        web:
          hosts:
            web[01:03]: {ansible_user: ops}
        db:
          hosts:
            db-[a:c:2].example.org: {ansible_port: 2222, ansible_become: yes}
"""


@pytest.mark.parametrize(
    ("text", "file"), [pytest.param(INI, "hosts", id="ini"), pytest.param(YAML, "hosts.yaml", id="yaml")]
)
def test_hosts_ranges_groups_and_variables(text: str, file: str) -> None:
    found = harvest(text, file)
    by_id = nodes(found)
    assert list(by_id) == ["lone", "2001-db8-5", "web01", "web02", "web03", "db-a.example.org", "db-c.example.org"]
    assert (by_id["lone"].address, by_id["lone"].port, by_id["lone"].user) == ("10.1.1.1", 2200, None)
    assert (by_id["2001-db8-5"].address, by_id["2001-db8-5"].port) == ("2001:db8::5", 2222)
    assert (by_id["web02"].user, by_id["web02"].identity_file, by_id["web02"].become) == ("ops", "fleet", False)
    database = by_id["db-c.example.org"]
    assert (database.user, database.port, database.become) == ("prod", 2222, True)
    assert database.tags == {"Imported-From": "ansible", "Group:db": "yes", "Group:prod": "yes"}
    assert [(group.name, group.tag) for group in found.groups] == [
        ("db", "Group:db"),
        ("prod", "Group:prod"),
        ("web", "Group:web"),
    ]


def test_variables_win_in_ansible_s_order() -> None:
    text = "[web]\na ansible_user=inline\nb\nc\n[web:vars]\nansible_user=section\nansible_port=1\n[all:vars]\nansible_port=2\n"
    found = nodes(
        harvest(
            text,
            group_vars={"all": "ansible_user: every\n", "web": "ansible_port: 3\n"},
            host_vars={"c": "ansible_user: own\n"},
        )
    )
    assert [found[name].user for name in "abc"] == ["inline", "every", "own"]
    assert {node.port for node in found.values()} == {3}


def test_a_deeper_group_and_then_a_higher_priority_wins() -> None:
    text = "[top:children]\nmid\n[mid:children]\nlow\n[low]\na\n[mid:vars]\nansible_port=2\n[top:vars]\nansible_port=1\n[x]\na\n"
    assert nodes(harvest(text))["a"].port == 2
    assert nodes(harvest(text + "[x:vars]\nansible_port=9\n"))["a"].port == 2, "x lies less deep than mid"
    same = "[x]\na\n[y]\na\n[x:vars]\nansible_port=1\nansible_group_priority=5\n[y:vars]\nansible_port=2\n"
    assert nodes(harvest(same))["a"].port == 1


def test_templates_and_vaults_are_told_and_never_values() -> None:
    vault = "ansible_user: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\nansible_port: 2222\n"
    found = harvest(
        'a ansible_user=\'{{ lookup("pipe", "id") }}\'\nb\nc ansible_host={{x}}\nd\n',
        host_vars={"b": vault, "d": "$ANSIBLE_VAULT;1.1;AES256\n3132\n"},
    )
    assert (nodes(found)["a"].user, nodes(found)["b"].user, nodes(found)["b"].port) == (None, None, 2222)
    assert "note: hosts.ini:1: ansible_user is a template" in notes(found)
    assert "note: host_vars/b.yml:1: ansible_user is encrypted (vault): left out" in notes(found)
    assert "skipped: hosts.ini:3: c: its address is a template or encrypted" in notes(found)
    assert "skipped: host_vars/d.yml:1: the whole file is encrypted (vault)" in notes(found)


def test_passwords_and_options_of_ssh_are_told_without_their_values() -> None:
    found = harvest("a ansible_password=hunter2 ansible_ssh_common_args='-o ProxyCommand=evil'\n")
    assert "hunter2" not in notes(found)
    assert "ansible_password is not imported: passwords are not imported" in notes(found)
    assert "write Gateway" in notes(found)


def test_only_ssh_and_local_connections_are_known() -> None:
    found = harvest(
        "here ansible_connection=local\nwin ansible_connection=winrm\nbox ansible_become=1 ansible_become_method=doas\n"
    )
    assert nodes(found)["here"].address is None
    assert "skipped: hosts.ini:2: win: ansible_connection=winrm" in notes(found)
    assert "ansible_become_method doas is not known here" in notes(found)
    assert nodes(found)["box"].become is False


def test_what_ansible_inventory_lists_can_be_imported() -> None:
    text = '{"_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.9"}}}, "all": {"children": ["web"]}, "web": {"hosts": ["a"]}}'
    found = harvest(text, "list.json")
    assert nodes(found)["a"].address == "10.0.0.9"
    assert [group.name for group in found.groups] == ["web"]


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        pytest.param("i", "[web:wat]\na\n", "i:1:1", id="kind of section"),
        pytest.param("i", "a b c\n", "i:1:1", id="several hosts on a line"),
        pytest.param("i", "a 'open\n", "i:1:1", id="open quote"),
        pytest.param("i", "web[01:5]\n", "i:1:1", id="zeros that do not fit"),
        pytest.param("i", "web[1:999999999]\n", "i:1:1", id="a range of a billion"),
        pytest.param("i", "w[1:200]x[1:200]y[1:200]\n", "i:1:1", id="ranges multiplied"),
        pytest.param("i", "web[9:1]\n", "i:1:1", id="a range backwards"),
        pytest.param("i", "[a:children]\nb\n[b:children]\na\n", "i:1:0", id="a circle of groups"),
        pytest.param("i.yml", "all: {hosts: {a: !!python/object:os.system x}}\n", "i.yml:1:18", id="a tag"),
        pytest.param("i.yml", "- a\n", "i.yml:1:1", id="a list"),
        pytest.param("i.yml", "all: {hosts: {a: 1}}\n", "i.yml:1:18", id="a host that is a number"),
        pytest.param("i.yml", "[" * 100_000, "i.yml:1:65", id="nesting"),
        pytest.param("i", "[" * 1000, "i:1:1", id="brackets"),
    ],
)
def test_what_does_not_read_is_told_with_its_place(file: str, text: str, place: str) -> None:
    with pytest.raises(DesiredStateError) as caught:
        harvest(text, file)
    assert str(caught.value).startswith(f"{place}: ")


def test_a_long_chain_of_groups_is_no_reason_to_fail() -> None:
    text = "".join(f"[g{number}:children]\ng{number + 1}\n" for number in range(1500)) + "[g1500]\na\n"
    found = harvest(text)
    assert "a is in 1501 groups: only the first 50 became tags" in notes(found)
