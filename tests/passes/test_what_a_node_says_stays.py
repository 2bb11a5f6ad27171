"""What node A said never reaches node B: every byte that a pass sends is looked through for words that only A knows."""

from collections import defaultdict
from pathlib import Path

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.ids import NodeId
from reconciler.transport.exchange import Exchange
from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2

CANARY = "canary-7Qx"
TELLING = APPEND_DOCUMENT.replace(
    "        - echo run", "        - cat /etc/canary; cat /etc/canary >&2; id canary || true\n        - echo run"
)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[NodeId, list[bytes]]:
    """Everything that goes to each node: command lines and programs, as they leave."""
    found: dict[NodeId, list[bytes]] = defaultdict(list)
    request, send = Exchange.request, Exchange.send

    def requested(self: Exchange, command: str) -> None:
        found[self._node].append(command.encode())
        request(self, command)

    def handed_over(self: Exchange, text: bytes) -> None:
        found[self._node].append(text)
        send(self, text)

    monkeypatch.setattr(Exchange, "request", requested)
    monkeypatch.setattr(Exchange, "send", handed_over)
    return found


def tell_everywhere(site: Site, fleet: Fleet) -> None:
    """Put the word wherever the first node is asked: files, users, inventory, names, what its scripts print."""
    first = fleet.nodes[0]
    first.run(
        [
            "sh",
            "-c",
            f"""
            echo {CANARY}-file >/etc/canary
            echo {CANARY}-motd >/etc/motd
            useradd -c {CANARY}-comment -d /{CANARY}-home canary
            mkdir -p /etc/reconciler/inventory.d
            printf '%s' '{{"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "Content": {{"Site": "{CANARY}-rack"}}}}' \\
                >/etc/reconciler/inventory.d/rack.json
            sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="{CANARY}-os"/' /etc/os-release
            sed -i 's/$/ {CANARY}-comment/' /etc/ssh/ssh_host_*_key.pub
            """,
        ]
    )
    site.standard(fleet.nodes)
    asks = "  Users: [{Name: root, Uid: 0}]\n  Checks: ['cat /etc/canary; true']\n"
    site.commit({"documents/Motd.yaml": TELLING, "state/associations/motd.yaml": MOTD + asks})


def test_nothing_of_it_is_sent_to_another_node(tmp_path: Path, fleet: Fleet, sent: dict[NodeId, list[bytes]]) -> None:
    site = Site(tmp_path, fleet)
    tell_everywhere(site, fleet)
    results: list[PassResult] = [site.once()]
    (fleet.nodes[0].root / "etc/motd").write_text(f"{CANARY}-again\n")
    (fleet.nodes[1].root / "etc/motd").write_text("by hand\n")
    results += [site.once(), site.once()]
    assert [outcome.node for result in results for outcome in result.outcomes].count(NodeId("web-02")) >= 2
    heard = repr([result.reports[NodeId("web-01")] for result in results]) + repr(
        [outcome for result in results for outcome in result.outcomes]
    )
    assert CANARY in heard, "the manager did hear the word"
    told = b"\0".join(sent[NodeId("web-02")])
    assert len(sent[NodeId("web-02")]) > 6
    assert b"/etc/motd" in told, "this is where words of ours are found"
    assert CANARY.encode() not in told
