"""Kill -9 at any moment of a report: what was committed reaches the branch, and nothing stays locked."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commit.builders import a_host
from tests.support.git_remote import make_remote

REPORT_FOR_EVER = """
import sys
from datetime import timedelta
from itertools import count
from pathlib import Path

from reconciler.commit.heartbeat import Heartbeat
from tests.commit.builders import NOON, a_host, a_message
from tests.support.git_remote import GitRemote

with a_host("one", GitRemote(Path(sys.argv[1])), Path(sys.argv[2])) as host:
    for number in count():
        name = f"{sys.argv[3]}-{number}"
        host.reports.look()
        host.reports.write({f"nodes/{name}": b"x"}, a_message(name), now=NOON)
        print(name, flush=True)
        host.reports.publish(Heartbeat(last_pass=NOON, interval=timedelta(minutes=1)))
"""


@pytest.mark.parametrize("whole_group", [False, True], ids=["the daemon alone", "the daemon and its gits"])
def test_every_report_that_was_committed_is_published_in_the_end(tmp_path: Path, whole_group: bool) -> None:  # noqa: FBT001  a case
    repo = make_remote(tmp_path / "fleet.git")
    chance = random.Random(7)
    committed: list[str] = []
    for life in range(6):
        daemon = subprocess.Popen(
            [sys.executable, "-c", REPORT_FOR_EVER, str(repo.path), str(tmp_path), str(life)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            bufsize=0,
        )
        assert daemon.stdout is not None
        lines = [daemon.stdout.readline() for _ in range(chance.randrange(1, 4))]
        with pytest.raises(subprocess.TimeoutExpired):
            daemon.wait(timeout=chance.random() * 0.06)
        kill(daemon, whole_group=whole_group)
        rest = daemon.communicate()[0]
        committed += [
            line.decode().strip() for line in (*lines, *rest.splitlines(keepends=True)) if line.endswith(b"\n")
        ]
    for lock in repo.path.rglob("*.lock"):
        os.utime(lock, (0, 0))  # a day has passed
    with a_host("one", repo, tmp_path) as host:
        published = host.reports.publish()
    assert published.complete, published.reasons
    log = repo.log()
    assert set(committed) <= set(log)
    assert len(log) == len(set(log))


def kill(daemon: "subprocess.Popen[bytes]", *, whole_group: bool) -> None:
    """End the daemon, and where a whole service is killed, the gits it started as well."""
    gits = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split() if whole_group else []
    daemon.send_signal(signal.SIGKILL)
    for git in gits:
        try:
            os.killpg(int(git), signal.SIGKILL)
        except ProcessLookupError:
            continue
