"""A bucket for output, by a server that checks every signature: what is wrong with it is told before anything is sent."""

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from reconciler.commands.output_place import OutputPlace
from reconciler.daemon.output_delivery import ready
from reconciler.errors import UsageError
from tests.support.object_store import KEY_ID, SECRET_KEY, ObjectStore, object_store
from tests.support.requirements import skip_or_fail

BUCKET = "our-bucket"
PLACE = OutputPlace(bucket=BUCKET)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if find_spec("boto3") is None:
        skip_or_fail("boto3 is not installed: pip install -e '.[dev]'")
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with object_store() as started:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", started.url)
        started.buckets.add(BUCKET)
        yield started


def refusal() -> str:
    with pytest.raises(UsageError) as refused, ready(PLACE):
        pass
    said = str(refused.value)
    assert said.startswith(f"InvalidOutputFolder: the bucket {BUCKET} cannot be used: ")
    assert said.endswith("; nothing was sent")
    assert SECRET_KEY not in said
    return said


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_bucket_that_refuses_is_told(store: ObjectStore, status: int) -> None:
    store.refusals["HEAD"] = status, "Trouble"
    assert str(status) in refusal()
    assert len(store.asked) == (1 if status == 403 else 3), "what may be a bad moment is tried three times"


def test_a_bucket_that_is_none_is_told(store: ObjectStore) -> None:
    store.buckets.clear()
    assert "404" in refusal()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"AWS_SECRET_ACCESS_KEY": "of somebody else"}, "403", id="another key"),
        pytest.param({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials", id="no key at all"),
        pytest.param({"AWS_PROFILE": "nobody"}, "profile", id="settings that do not read"),
        pytest.param({"AWS_ENDPOINT_URL_S3": "not a url"}, "endpoint", id="no address"),
    ],
)
def test_settings_that_open_no_bucket_are_told(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], words: str
) -> None:
    for name, value in settings.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    assert words in refusal()


def test_a_server_that_does_not_listen_is_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody else gets this port, and nobody listens on it
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert "connect" in refusal()


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_what_is_put_arrives_as_it_was(store: ObjectStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "out").write_bytes(b"x" * size)
    with ready(PLACE) as put:
        assert put is not None
        put("a/b c/stdout", tmp_path / "out")
    assert store.objects == {f"{BUCKET}/a/b c/stdout": b"x" * size}


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (500, "InternalError"), (404, "NoSuchBucket")])
def test_what_is_refused_later_raises_in_the_servers_words(
    store: ObjectStore, tmp_path: Path, status: int, code: str
) -> None:
    (tmp_path / "out").write_bytes(b"x")
    with ready(PLACE) as put:
        assert put is not None
        store.refusals["PUT"] = status, code
        with pytest.raises(Exception, match=f"{code} it is"):
            put("key", tmp_path / "out")
    assert store.objects == {}
