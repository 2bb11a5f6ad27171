"""Versions of a document that is one file: the contents it had in git, counted from the first on."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from reconciler.drift.definitions import Definition
from reconciler.errors import DesiredStateError, SourceError
from reconciler.ids import AssociationName, CommitId, DocumentName
from reconciler.source.repository import Repository
from tests.support.site import Site

DOCUMENT = """\
schemaVersion: '2.2'
mainSteps:
  - name: say
    action: aws:runShellScript
    inputs: {runCommand: ['echo WORD']}
"""
OUTER = """\
schemaVersion: '2.2'
parameters: {which: {type: String, default: 'Say:1'}}
mainSteps:
  - name: outer
    action: aws:runDocument
    inputs: {documentType: SSMDocument, documentPath: '{{ which }}'}
"""
NODE = "Id: web-01\nAddress: 192.0.2.1\n"


def saying(word: str) -> str:
    return DOCUMENT.replace("WORD", word)


def association(version: str, document: str = "Say", parameters: str = "{}") -> str:
    return (
        f"AssociationName: it-is\nName: {document}\nDocumentVersion: '{version}'\nParameters: {parameters}\n"
        "Targets: [{Key: InstanceIds, Values: ['*']}]\n"
    )


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A document with four contents: the third was no document, and the fourth is the first one again."""
    made = Site(tmp_path_factory.mktemp("begun"), None)
    first = {"documents/Say.yaml": saying("one"), "documents/Other.yaml": saying("other")}
    made.commit({"state/nodes/a.yaml": NODE, **first})
    made.commit({"documents/Say.yaml": saying("two")})
    made.commit({"documents/Other.yaml": saying("another")})
    made.commit({"documents/Say.yaml": "no document"})
    made.commit({"documents/Say.yaml": None, "documents/Say.yml": saying("one")})
    return made


@pytest.fixture
def site(begun: Site, tmp_path: Path) -> Site:
    shutil.copytree(begun.repo, tmp_path / "state-repository")
    return Site(tmp_path, None)


def script_of(site: Site) -> tuple[str, bytes]:
    with site.controller() as controller:
        base, accepted = controller.branches.in_force()
        assert not accepted.problems
        found = base.definitions[AssociationName("it-is")]
        assert isinstance(found, Definition), found
        return found.rendered.version, found.rendered.steps[0].script or b""


@pytest.mark.parametrize(
    ("version", "meant", "word"),
    [("1", "1", "one"), ("2", "2", "two"), ("4", "4", "one")],
)
def test_a_number_means_the_content_of_its_time(site: Site, version: str, meant: str, word: str) -> None:
    site.commit({"state/associations/a.yaml": association(version)})
    assert script_of(site) == (meant, f"echo {word}\n".encode())


def test_the_newest_one_is_the_default_and_the_latest(site: Site) -> None:
    site.commit({"state/associations/a.yaml": association("$DEFAULT")})
    assert script_of(site)[1] == b"echo one\n"
    site.commit({"documents/Say.yml": saying("five"), "state/associations/a.yaml": association("$LATEST")})
    assert script_of(site)[1] == b"echo five\n"
    site.commit({"state/associations/a.yaml": association("5")})
    assert script_of(site) == ("5", b"echo five\n")


@pytest.mark.parametrize("version", ["3", "5"])
def test_a_version_that_was_no_document_or_is_not_there_yet_is_refused(site: Site, version: str) -> None:
    site.commit({"state/associations/a.yaml": association(version)})
    with (
        site.controller() as controller,
        pytest.raises(DesiredStateError, match=r"a\.yaml:3:18: Say has no such version"),
    ):
        controller.branches.in_force()
    done = site.command("validate", str(site.repo), check=1)
    assert "write $DEFAULT, $LATEST or one of 1, 2, 4" in done.stdout + done.stderr


def test_what_is_not_committed_yet_is_the_next_version(site: Site) -> None:
    site.write({"documents/Say.yml": saying("next"), "state/associations/a.yaml": association("5")})
    site.command("validate", str(site.repo), check=0)


@pytest.mark.parametrize("given", ["{}", "{which: ['Say:2']}"])
def test_documents_and_parameters_name_versions_too(site: Site, given: str) -> None:
    site.commit({"documents/Outer.yaml": OUTER, "state/associations/a.yaml": association("$LATEST", "Outer", given)})
    assert script_of(site)[1] == (b"echo one\n" if given == "{}" else b"echo two\n")


def test_a_document_that_was_removed_begins_anew(site: Site) -> None:
    site.commit({"documents/Say.yml": None})
    site.commit({"documents/Say.yaml": saying("new"), "state/associations/a.yaml": association("1")})
    assert script_of(site) == ("1", b"echo new\n")


def test_a_merge_counts_once_and_not_what_it_brought_step_by_step(site: Site) -> None:
    site.git("checkout", "--quiet", "-b", "work")
    site.commit({"documents/Say.yml": saying("draft")})
    site.commit({"documents/Say.yml": saying("merged")})
    site.git("checkout", "--quiet", "main")
    site.git("merge", "--quiet", "--no-ff", "-m", "Merge", "work")
    site.commit({"state/associations/a.yaml": association("5")})
    assert script_of(site) == ("5", b"echo merged\n")


def test_a_pin_holds_the_content_of_an_earlier_version(site: Site) -> None:
    wrong = association("2") + f"DocumentHash: {'0' * 64}\n"
    site.commit({"state/associations/a.yaml": wrong})
    with site.controller() as controller, pytest.raises(DesiredStateError, match="version 2, is not what is pinned"):
        controller.branches.in_force()


def test_a_checkout_without_its_history_says_so_and_is_valid(site: Site, tmp_path: Path) -> None:
    site.commit({"state/associations/a.yaml": association("2")})
    shallow = tmp_path / "shallow"
    site.git("clone", "--quiet", "--depth=1", f"file://{site.repo}", str(shallow))
    done = site.command("validate", str(shallow), check=0)
    assert "stands in git's history, and all of it is not here" in done.stdout + done.stderr


def test_a_history_that_is_not_whole_brings_nothing_into_force(site: Site, tmp_path: Path) -> None:
    site.commit({"state/associations/a.yaml": association("2")})
    shallow = tmp_path / "shallow"
    site.git("clone", "--quiet", "--depth=1", f"file://{site.repo}", str(shallow))
    with (
        site.controller(str(shallow), tmp_path / "other-state") as controller,
        pytest.raises(SourceError, match="a shallow clone"),
    ):
        controller.branches.in_force()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hear which files' histories are asked for."""
    asked: list[str] = []
    real = Repository.earlier_contents

    def counting(
        self: Repository, commit: CommitId, paths: Collection[str]
    ) -> Mapping[str, tuple[tuple[str, bytes], ...]]:
        asked.extend(paths)
        return real(self, commit, paths)

    monkeypatch.setattr(Repository, "earlier_contents", counting)
    return asked


def test_a_history_that_nobody_names_a_number_of_is_not_read(site: Site, counted: list[str]) -> None:
    site.commit({"state/associations/a.yaml": association("$LATEST")})
    script_of(site)
    assert counted == []
    site.commit({"state/associations/a.yaml": association("1")})
    script_of(site)
    assert {path.partition(".")[0] for path in counted} == {"documents/Say"}


def test_a_command_may_name_a_version_of_history(site: Site) -> None:
    with site.controller() as controller:
        desired = controller.branches.in_force()[0].desired
        numbered = controller.branches.with_numbers(desired, "Say")
        assert sorted(numbered.documents[DocumentName("Say")].versions) == ["1", "2", "4"]
        assert controller.branches.with_numbers(desired, "AWS-Noop") is desired
        assert controller.branches.with_numbers(desired, "Nothing") is desired
