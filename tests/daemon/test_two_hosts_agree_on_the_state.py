"""Two management hosts of one fleet: what one of them accepted and reported, the other one does not go back behind."""

from pathlib import Path

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.daemon.reporting import Reporter
from tests.support.signing import TestSigner, ssh_signer
from tests.support.site import APPEND_DOCUMENT, MOTD, Site

FLEET = "Fleet: example\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A repository whose only node is this machine, which is looked at alone."""
    made = Site(tmp_path, None)
    made.write({"state/fleet.yaml": FLEET, "state/nodes/here.yaml": "Id: here\nTransport: local\n"})
    return made


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """The state folder of the host that stands by."""
    (tmp_path / "one").mkdir()
    return tmp_path / "one"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The state folder of the host that leads meanwhile."""
    (tmp_path / "two").mkdir()
    return tmp_path / "two"


def every(minutes: int) -> dict[str, str | None]:
    return {"state/fleet.yaml": f"{FLEET}Interval: rate({minutes} minutes)\n"}


def web(count: int, *, first: int = 1) -> str:
    """Give nodes that nobody reaches."""
    node = "Id: web-{0}\nAddress: 127.0.0.1\nPort: {0}\nUser: ops\nTags: {{Role: web}}\n"
    return "---\n".join(node.format(number) for number in range(first, first + count))


def shrunk_too_far(result: PassResult) -> bool:
    return any(each.node is None and each.association == "motd" for each in result.plan.left_out)


def test_a_host_that_takes_over_does_not_follow_a_rewind(site: Site, one: Path, two: Path) -> None:
    site.commit({})
    site.once(state_dir=one)
    second = site.commit(every(20))
    third = site.commit(every(30))
    assert site.once(state_dir=two).plan.commit == third
    site.git("reset", "--quiet", "--hard", second)
    assert site.once(state_dir=two).plan.commit == third
    result = site.once(state_dir=one)
    assert result.plan.commit == third
    assert any("--accept-rewind" in problem for problem in result.problems), result.problems
    site.git("reset", "--quiet", "--hard", third)
    fourth = site.commit(every(40))
    assert site.once(state_dir=one).plan.commit == fourth


def signed_by(site: Site, signer: TestSigner, files: dict[str, str | None]) -> str:
    site.write(files)
    return signer.commit(site.repo)


def test_a_host_that_takes_over_goes_by_the_signers_that_were_accepted_last(site: Site, one: Path, two: Path) -> None:
    ann, bea, carl = (ssh_signer(site.folder / "keys", name) for name in ("ann", "bea", "carl"))
    with site.settings.open("a") as settings:
        settings.write(f"TrustedSigners:\n{ann.entry()}")
    signed_by(site, ann, {"state/signers.yaml": f"{bea.yaml()}---\n{carl.yaml()}"})
    site.once(state_dir=one)
    site.once(state_dir=two)
    accepted = signed_by(site, bea, {"state/signers.yaml": f"{bea.yaml()}---\n{carl.yaml(Revoked='true')}"})
    assert site.once(state_dir=two).plan.commit == accepted
    signed_by(site, carl, every(20))
    result = site.once(state_dir=one)
    assert result.plan.commit == accepted
    assert any("is revoked" in problem for problem in result.problems), result.problems
    hers = signed_by(site, bea, every(30))
    assert site.once(state_dir=one).plan.commit == hers


@pytest.mark.parametrize("known", ["an earlier commit", "nothing"])
def test_a_trailer_that_was_made_use_of_allows_a_host_that_takes_over_nothing(
    site: Site, one: Path, two: Path, known: str
) -> None:
    site.commit(
        {"state/nodes/web.yaml": web(16), "state/associations/motd.yaml": MOTD, "documents/Motd.yaml": APPEND_DOCUMENT}
    )
    if known != "nothing":
        assert not shrunk_too_far(site.once(state_dir=one))
    assert not shrunk_too_far(site.once(state_dir=two))
    site.commit({"state/nodes/web.yaml": web(8)}, "Drop eight\n\nAllow-Shrink: motd")
    assert not shrunk_too_far(site.once(state_dir=two))
    site.commit({"state/nodes/web.yaml": web(2)}, "Drop six, by mistake")
    assert shrunk_too_far(site.once(state_dir=two))
    assert shrunk_too_far(site.once(state_dir=one))
    site.commit(every(20))
    assert shrunk_too_far(site.once(state_dir=one))


def test_a_pass_killed_before_its_report_loses_no_allow_shrink(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.commit(
        {"state/nodes/web.yaml": web(8), "state/associations/motd.yaml": MOTD, "documents/Motd.yaml": APPEND_DOCUMENT}
    )
    assert not shrunk_too_far(site.once())
    site.commit({"state/nodes/web.yaml": web(2)}, "Drop six\n\nAllow-Shrink: motd")

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Reporter, "report", dies)
        with pytest.raises(KeyboardInterrupt):
            site.once()
    assert not shrunk_too_far(site.once())
    assert not shrunk_too_far(site.once())
