"""`validate`, `plan` and a pass run nothing that a repository brings on the management host, and read nothing outside it."""

from pathlib import Path

import pytest

from tests.support.site import Site

pytestmark = pytest.mark.timeout(300)

LOCAL = "Id: here\nTransport: local\nTags: {Role: web}\n"
CANARY = "Fleet: from-outside-of-the-tree\n"
CHECKED = """\
AssociationName: motd
Name: AWS-RunShellScript
Targets: [{{Key: 'tag:Role', Values: [web]}}]
Parameters: {{commands: ['touch {trap}']}}
Expect: {{Checks: ['touch {trap}']}}
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that exists once something ran."""
    return tmp_path / "ran"


@pytest.fixture
def site(tmp_path: Path, trap: Path) -> Site:
    """A repository whose settings, attributes and hooks all name a program, and whose node is this machine."""
    made = Site(tmp_path, None)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    program.chmod(0o755)
    made.commit(
        {
            "state/fleet.yaml": "Fleet: example\n",
            "state/nodes/here.yaml": LOCAL,
            "state/associations/motd.yaml": CHECKED.format(trap=trap),
            "state/groups/web.yaml": "# $Format:%H$ $Id$\nName: web\nResourceQuery: {TagFilters: [{Key: Role}]}\n",
        }
    )
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "fsmonitor-watchman", "post-index-change"):
        (made.repo / ".git/hooks").mkdir(exist_ok=True)
        (made.repo / ".git/hooks" / hook).symlink_to(program)
    made.write(
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil ident export-subst\n",
            ".gitmodules": '[submodule "x"]\n\tpath = documents/x\n\turl = https://example.invalid/x\n',
            "state/.gitattributes": "*.yaml filter=evil diff=evil\n",
        }
    )
    made.git("-c", "core.hooksPath=/dev/null", "add", "--all")
    made.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "Hostile")
    for key in ("filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "diff.evil.textconv"):
        made.git("-c", "core.hooksPath=/dev/null", "config", key, str(program))
    for key in ("diff.evil.command", "merge.evil.driver", "core.fsmonitor", "core.pager", "diff.external", "alias.log"):
        made.git("-c", "core.hooksPath=/dev/null", "config", key, str(program))
    trap.unlink(missing_ok=True)
    return made


@pytest.mark.parametrize(
    "command",
    [
        ("validate",),
        ("plan",),
        ("plan", "--base", "HEAD~1", "--head", "HEAD"),
        ("once", "--dry-run"),
        ("once",),
        ("inventory", "collect"),
    ],
    ids=" ".join,
)
def test_nothing_of_the_repository_runs(site: Site, trap: Path, command: tuple[str, ...]) -> None:
    done = site.command(*command)
    assert done.returncode in {0, 2}, done.stderr
    assert not trap.exists(), done.stdout


def test_checks_run_here_only_where_the_host_settings_say_so(site: Site, trap: Path) -> None:
    site.command("plan")
    assert not trap.exists()
    with site.settings.open("a") as settings:
        settings.write("LocalChanges: true\n")
    site.command("plan")
    assert trap.exists()


@pytest.mark.parametrize("link", ["absolute", "relative", "a folder"])
def test_a_link_out_of_the_tree_is_an_error_and_never_followed(site: Site, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "fleet.yaml").write_text(CANARY)
    planted = site.repo / ("state/nodes/more" if link == "a folder" else "state/nodes/more.yaml")
    target = {"absolute": outside / "fleet.yaml", "relative": Path("../../../outside/fleet.yaml"), "a folder": outside}
    planted.symlink_to(target[link])
    validated = site.command("validate")
    assert validated.returncode == 1
    assert "symbolic link" in validated.stdout + validated.stderr
    before = site.git("-c", "core.hooksPath=/dev/null", "rev-parse", "HEAD")
    site.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "add", str(planted))
    site.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "commit", "--quiet", "-m", "Link")
    planned = site.command("plan")
    said = validated.stdout + validated.stderr + planned.stdout + planned.stderr
    assert "symbolic link" in planned.stdout + planned.stderr
    assert "from-outside" not in said
    assert before
