"""The whole output of a command in a bucket, by a server that checks every signature; and a bucket that is in trouble."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import Fleet, start_fleet
from tests.support.object_store import KEY_ID, SECRET_KEY, ObjectStore, object_store
from tests.support.requirements import skip_or_fail
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

STEP = "awsrunShellScript/0.awsrunShellScript"
BUCKET = "our-bucket"
LARGE = 240_000
"""Bytes; ten times what is shown of an output."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    if find_spec("boto3") is None:
        skip_or_fail("boto3 is not installed: pip install -e '.[dev]'")
    with start_fleet(tmp_path_factory.mktemp("fleet"), count=2) as started:
        yield started


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as started:
        started.buckets.add(BUCKET)
        yield started


class Bucketed(Site):
    """A site whose processes have what boto3 looks for in its environment."""

    aws: dict[str, str]

    def environment(self, state_dir: Path | None = None) -> dict[str, str]:
        return {**super().environment(state_dir), **self.aws}


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, store: ObjectStore) -> Bucketed:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/sent"])
    made = Bucketed(tmp_path, fleet)
    made.aws = {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": store.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    made.standard(fleet.nodes)
    return made


def send(site: Site, *lines: str, code: int) -> tuple[dict[str, Any], str]:
    done = site.command(
        "send-command", "--document-name", "AWS-RunShellScript", "--targets", "Key=tag:Role,Values=web",
        "--parameters", json.dumps({"commands": ["hostname >>/var/log/sent", *lines]}),
        "--output-s3-bucket-name", BUCKET, "--output-s3-key-prefix", "logs/today",
        "--repo", str(site.repo), "--format", "json", check=code,
    )  # fmt: skip
    return json.loads(done.stdout) if done.stdout else {}, done.stderr


def recorded(site: Site) -> dict[str, Any]:
    (name,) = site.git("ls-tree", "-r", "--name-only", "compliance", "commands").split()
    found: dict[str, Any] = json.loads(site.git("show", f"compliance:{name}"))
    return found


def was_sent(fleet: Fleet) -> list[bool]:
    return [(node.root / "var/log/sent").exists() for node in fleet.nodes]


def test_every_output_arrives_whole_under_ssms_keys(site: Bucketed, store: ObjectStore) -> None:
    large = f"head -c {LARGE} /dev/zero | tr '\\0' x"
    sent, said = send(site, f"if grep -q 1 /etc/hostname; then {large}; else echo small; fi", "echo err >&2", code=0)
    below = f"{BUCKET}/logs/today/{sent['Command']['CommandId']}"
    assert sorted(store.objects) == sorted(
        f"{below}/{node}/{STEP}/{name}" for node in ("web-01", "web-02") for name in ("stdout", "stderr")
    )
    sizes = sorted(len(body) for key, body in store.objects.items() if key.endswith("stdout"))
    assert sizes == [len(b"small\n"), LARGE], said
    assert {body for key, body in store.objects.items() if key.endswith("stderr")} == {b"err\n"}
    assert recorded(site)["Command"]["OutputProblems"] == []
    assert (sent["Command"]["OutputS3BucketName"], sent["Command"]["OutputS3KeyPrefix"]) == (BUCKET, "logs/today")


def test_a_bucket_that_cannot_be_used_is_told_before_anything_is_sent(
    site: Bucketed, fleet: Fleet, store: ObjectStore
) -> None:
    """In which ways: `tests/commands/test_buckets_in_trouble.py`."""
    store.refusals["HEAD"] = 403, "AccessDenied"
    _, said = send(site, code=64)
    assert f"InvalidOutputFolder: the bucket {BUCKET} cannot be used: " in said
    assert "nothing was sent" in said
    assert was_sent(fleet) == [False, False]
    assert site.git("branch", "--list", "compliance") == ""


def test_what_fails_later_stands_in_the_record_and_is_still_here(site: Bucketed, store: ObjectStore) -> None:
    store.refusals["PUT"] = 403, "AccessDenied"
    sent, said = send(site, "echo the output", code=0)
    assert sent["Command"]["StatusDetails"] == "Success"
    assert store.objects == {}
    problems = recorded(site)["Command"]["OutputProblems"]
    assert problems == sent["Command"]["OutputProblems"]
    for node, problem in zip(("web-01", "web-02"), problems, strict=True):
        assert problem.startswith(f"{node}: its output was not brought to {BUCKET}: ")
        assert f"AccessDenied it is (logs/today/{sent['Command']['CommandId']}/{node}/{STEP}/stdout)" in problem
    assert said.count("note: ") == 2
    kept = site.command(
        "get-command-invocation", "--command-id", sent["Command"]["CommandId"], "--instance-id", "web-02",
        "--repo", str(site.repo), "--format", "json", check=0,
    )  # fmt: skip
    assert json.loads(kept.stdout)["StandardOutputContent"] == "the output\n"
