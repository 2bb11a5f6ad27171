"""SQL over the facts of a fleet: what can be asked, and that nothing can be done."""

import pytest

from reconciler.errors import UsageError
from reconciler.ids import NodeId
from reconciler.inventory import query as query_module
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.inventory.query import TABLES, query
from reconciler.model.known import Known, Unknown

WEB = Facts(
    node=NodeId("web-01"),
    sections={
        "os": Known({"id": "debian", "version_id": "12", "family": "debian"}),
        "kernel": Known({"release": "6.1.0-9", "newest": None}),
        "packages": Known({"nginx": "1.22.1-9 amd64", "libc6:i386": "2.36-9 i386", "kernel": ["1 x86_64", "2 x86_64"]}),
        "services": Known(
            {"nginx": {"active": "active", "sub": "running", "enabled": "enabled"}, "bad": {"unknown": "x"}}
        ),
        "interfaces": Known({"eth0": {"mac": "02", "addresses": ["10.0.0.1/24", "fe80::1/64"]}}),
        "ports": Known({"tcp6 [::]:443": True, "tcp 127.0.0.1:22": True}),
        "users": Known({"ops": {"uid": 1000, "gid": 1000, "home": "/home/ops", "shell": "/bin/sh"}}),
        "groups": Known({"adm": {"gid": 4, "members": ["ann", "ops"]}}),
        "mounts": Known({"/": {"device": "/dev/sda", "type": "ext4", "options": ["rw", "noatime"]}}),
        "files": Known(
            {
                "/etc/motd": {
                    "kind": "file",
                    "sha256": "ab",
                    "size": 3,
                    "mode": "0644",
                    "owner": "root",
                    "group": "root",
                },
                "/no": None,
            }
        ),
        "sysctls": Known({"vm.swappiness": "60"}),
        "custom": Known({"Custom:Rack": [{"Site": "ams", "Unit": "7"}]}),
        "holds": Unknown("the node's small files were not answered"),
    },
)
GONE = Facts(node=NodeId("old-01"), sections={"packages": Known({"nginx": "1.18 amd64"})}, unreachable="timed out")


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (
            "SELECT node, version FROM packages WHERE name = 'nginx' ORDER BY node",
            [("old-01", "1.18"), ("web-01", "1.22.1-9")],
        ),
        ("SELECT version, arch FROM packages WHERE name = 'libc6'", [("2.36-9", "i386")]),
        ("SELECT version FROM packages WHERE name = 'kernel' ORDER BY 1", [("1",), ("2",)]),
        (
            "SELECT node, unreachable, os, kernel FROM nodes ORDER BY 1",
            [("old-01", "timed out", None, None), ("web-01", None, "debian", "6.1.0-9")],
        ),
        ("SELECT name, active FROM services", [("nginx", "active")]),
        ("SELECT address FROM interfaces ORDER BY 1", [("10.0.0.1/24",), ("fe80::1/64",)]),
        (
            "SELECT protocol, address, port + 0 FROM ports ORDER BY port",
            [("tcp", "127.0.0.1", 22), ("tcp6", "[::]", 443)],
        ),
        ("SELECT uid, shell FROM users WHERE name = 'ops'", [(1000, "/bin/sh")]),
        ("SELECT members FROM groups", [("ann,ops",)]),
        ("SELECT options FROM mounts WHERE path = '/'", [("rw,noatime",)]),
        ('SELECT mode, "group" FROM files', [("0644", "root")]),
        ("SELECT value FROM sysctls", [("60",)]),
        ("SELECT value FROM custom WHERE attribute = 'Site'", [("ams",)]),
        ("SELECT section, key FROM unknown WHERE node = 'web-01' ORDER BY 1", [("holds", None), ("services", "bad")]),
        ("SELECT count(*) FROM nodes JOIN packages USING (node) WHERE unreachable IS NULL", [(4,)]),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n", [(6,)]),
    ],
)
def test_a_fleet_answers(sql: str, rows: list[tuple[object, ...]]) -> None:
    assert list(query([WEB, GONE], sql).rows) == rows


def test_committed_facts_answer_as_live_ones_do() -> None:
    sql = "SELECT * FROM packages ORDER BY name, version"
    assert query([read_canonical(WEB.node, canonical(WEB))], sql) == query([WEB], sql)


def test_columns_are_named() -> None:
    assert query([WEB], "SELECT node AS server, name FROM services").columns == ("server", "name")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_asked_of_a_node_that_never_answered(table: str) -> None:
    never = Facts(node=NodeId("new-01"), unreachable="never collected")
    rows = query([never], f"SELECT * FROM {table}").rows  # noqa: S608  (names of our own tables)
    assert len(rows) == (1 if table in ("nodes", "unknown") else 0)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM packages",
        "INSERT INTO packages VALUES ('a', 'b', 'c', 'd')",
        "DROP TABLE packages",
        "ATTACH '/tmp/x.db' AS x",
        "PRAGMA database_list",
        "SELECT load_extension('/tmp/x.so')",
        "CREATE TABLE t (a)",
        "SELECT 1; DROP TABLE packages",
        "VACUUM INTO '/tmp/x.db'",
        "SELECT nothing FROM packages",
        "SELECT * FROM nowhere",
        "nonsense",
        "SELECT zeroblob(1000000000)",
    ],
)
def test_what_is_no_question_is_refused_with_the_tables_there_are(sql: str) -> None:
    with pytest.raises(UsageError, match="tables: nodes, packages"):
        query([WEB], sql)


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(UsageError, match="write one SELECT"):
        query([WEB], "  ")


def test_a_question_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_module, "LONGEST", 0.05)
    with pytest.raises(UsageError, match="took longer than"):
        query([WEB], "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")


def test_an_answer_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_module, "MOST_ROWS", 100)
    with pytest.raises(UsageError, match="more than 100 rows"):
        query([WEB], "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
