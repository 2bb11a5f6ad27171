"""aws:runDockerAction and aws:configureDocker on a real node: real podman, an image made of nothing, a real apt."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.passes.applying import apply, results
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

# In namespaces of a node's own there is no overlay on the overlay, and no cgroup to give away.
STORAGE = """\
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
CONTAINERS = """\
[containers]
netns = "host"
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
stop_timeout = 1
"""

IMAGE = """\
mkdir -p /srv/image/bin
cp /bin/busybox /srv/image/bin/sh
for name in sleep cat; do ln -s sh "/srv/image/bin/$name"; done
for file in $(ldd /bin/busybox | grep -o '/[^ ]*'); do
    mkdir -p "/srv/image${file%/*}"
    cp "$file" "/srv/image$file"
done
cd /
tar -C /srv/image -c . | podman import - scratch:1
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(
        tmp_path_factory.mktemp("nodes"), specs=[NodeSpec(name="docker", packages=("podman",))]
    ) as started:
        yield started


@pytest.fixture(scope="module")
def node(fleet: Fleet) -> TestNode:
    (node,) = fleet.nodes
    (node.root / "etc/containers").mkdir(exist_ok=True)
    (node.root / "etc/containers/storage.conf").write_text(STORAGE)
    (node.root / "etc/containers/containers.conf").write_text(CONTAINERS)
    node.run(["sh", "-c", IMAGE])
    return node


def steps(*inputs: str) -> str:
    """A document with one docker action after the other."""
    return "schemaVersion: '2.2'\nmainSteps:\n" + "".join(
        f"  - {{name: s{number}, action: 'aws:runDockerAction', inputs: {text}}}\n"
        for number, text in enumerate(inputs, 1)
    )


def test_a_container_lives_and_goes_by_the_actions_of_ssm(site: Site, node: TestNode) -> None:
    (node.root / "srv/shared").mkdir()
    (node.root / "srv/shared/word").write_text("from the node\n")
    life = steps(
        "{action: Images}",
        "{action: Run, image: 'scratch:1', container: one, env: 'WORD=two  words', volume: ['/srv/shared:/shared'],"
        r""" cmd: "sh -c 'echo \"$WORD\"\ncat /shared/word\nsleep 300'"}""",
        "{action: Ps}",
        r"""{action: Exec, container: one, cmd: "sh -c 'echo in $0\nexit 3' 'the container'"}""",
        "{action: Logs, container: one}",
        "{action: Inspect, container: one, image: 'scratch:1'}",
        "{action: Stop, container: one}",
        "{action: Start, container: one}",
        "{action: Stop, container: one}",
        "{action: Rm, container: one}",
        "{action: Create, image: 'scratch:1', container: two, user: '1000', cmd: 'sleep 1'}",
        "{action: Rm, container: two}",
        "{action: Rmi, image: 'scratch:1'}",
    )
    found = apply(site, "Life", Life=life)
    assert results(found) == [f"s{number} {'Failed 3' if number == 4 else 'Success 0'}" for number in range(1, 14)]
    said = [step.stdout.decode() for step in found.steps]
    assert "localhost/scratch" in said[0]
    assert "one" in said[2]
    assert said[3] == "in the container\n"
    assert said[4] == "two  words\nfrom the node\n"
    assert '"Id"' in said[5]
    assert "scratch" not in node.run(["podman", "images"]).stdout


REFUSED = steps(
    "{action: Rm, container: '--all'}",
    "{action: Run, image: 'x;reboot'}",
    "{action: Exec, container: one}",
    "{action: Exec, container: one, cmd: 'a | b'}",
    "{action: Run, image: x, volume: ['-v']}",
    "{action: Prune}",
    "{action: Logs, container: nobody}",
)


def test_what_the_client_must_not_hear_fails_its_step_and_says_why(site: Site, node: TestNode) -> None:
    found = apply(site, "Refused", Refused=REFUSED)
    assert [step.status for step in found.steps] == ["Failed"] * 7, node
    said = [step.stderr.decode() for step in found.steps]
    assert "aws:runDockerAction: invalid container '--all': only" in said[0]
    assert "invalid image 'x;reboot'" in said[1]
    assert "Action Exec requires parameter cmd" in said[2]
    assert "invalid cmd 'a | b': it must not hold any of" in said[3]
    assert "invalid volume '-v'" in said[4]
    assert "the input action must be one of Create, Start, Run" in said[5]
    assert "no such container" in said[6]


def test_the_bundled_document_runs_an_action(site: Site, node: TestNode) -> None:
    found = apply(site, "AWS-RunDockerAction", "{action: [Ps]}")
    assert results(found) == ["runDockerAction Success 0"], node
    assert b"CONTAINER ID" in found.steps[0].stdout


@pytest.fixture
def apt(node: TestNode, tmp_path: Path) -> None:
    repository = AptRepository(tmp_path / "apt")
    docker = Package(
        name="docker.io",
        version="20.10",
        files={"/usr/bin/docker": "#!/bin/sh\necho docker of the distribution\n"},
        scripts={"postinst": "#!/bin/sh\nchmod 755 /usr/bin/docker\n"},
    )
    repository.publish("bookworm", [docker])
    repository.install_into(node.root)


@pytest.mark.usefixtures("apt")
def test_docker_is_installed_and_removed_from_the_distributions_packages(site: Site, node: TestNode) -> None:
    services = node.root / "usr/local/bin/service"
    services.write_text('#!/bin/sh\necho "service $*"\n')
    services.chmod(0o755)
    first = apply(site, "AWS-ConfigureDocker", "{action: [Install]}")
    assert results(first) == ["configureDocker Success 0"]
    assert b"service docker start\n" in first.steps[0].stdout
    assert node.run(["docker"]).stdout == "docker of the distribution\n"
    again = apply(site, "AWS-ConfigureDocker", "{action: [Install]}")
    assert b"docker is there already: /usr/bin/docker\n" in again.steps[0].stdout
    gone = apply(site, "AWS-ConfigureDocker", "{action: [Uninstall]}")
    assert results(gone) == ["configureDocker Success 0"]
    assert not (node.root / "usr/bin/docker").exists()
    none = apply(site, "AWS-ConfigureDocker", "{action: [Uninstall]}")
    assert b"docker.io is not installed\n" in none.steps[0].stdout


def test_a_system_without_a_known_package_fails_and_says_so(site: Site, node: TestNode) -> None:
    release = node.root / "etc/os-release"
    release.unlink()
    release.write_text("ID=plan9\n")
    try:
        found = apply(site, "AWS-ConfigureDocker", "{action: [Uninstall]}")
    finally:
        release.unlink()
        release.symlink_to("../usr/lib/os-release")
    assert results(found) == ["configureDocker Failed 1"]
    assert b"no docker package is known for plan9" in found.steps[0].stderr
