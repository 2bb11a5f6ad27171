"""AWS-ApplyAnsiblePlaybooks: playbooks from git, applied by the node's own real Ansible."""

import io
import json
import zipfile
from collections.abc import Iterator

import pytest

from reconciler.model.outcome import RunRecord
from tests.passes.applying import apply, results
from tests.support.apt_repository import AptRepository, Package
from tests.support.git_remote import GitRemote, make_remote
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.site import Site
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

SERVER = "127.0.0.7"

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: write what we were told
      ansible.builtin.copy:
        content: "{{ greeting | default('nothing') }} SSM={{ SSM | default('unset') }}\\n"
        dest: /srv/told
        mode: "0644"
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("nodes")
    with start_fleet(folder, specs=[NodeSpec(name="ansible", packages=("ansible-core",))]) as started:
        yield started


@pytest.fixture(scope="module")
def node(fleet: Fleet) -> TestNode:
    return fleet.nodes[0]


@pytest.fixture(scope="module")
def playbooks(tmp_path_factory: pytest.TempPathFactory) -> GitRemote:
    made = make_remote(tmp_path_factory.mktemp("git") / "playbooks.git")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("inner/site.yml", PLAYBOOK)
    made.commit({"hello-world-playbook.yml": PLAYBOOK.encode(), "zipped/all.zip": zipped.getvalue()})
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, playbooks: GitRemote) -> Iterator[WebServer]:
    with (
        web_server(SERVER, tls=tmp_path_factory.mktemp("tls"), git=playbooks.path.parent) as started,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", str(started.authority))
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Site:
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    with made.settings.open("a") as settings:
        settings.write(f"Downloads: {{Egress: [{SERVER}]}}\n")
    return made


def play(site: Site, server: WebServer, path: str = "", **parameters: str) -> RunRecord:
    info = json.dumps({"repository": f"{server.url}/git/playbooks.git", **({"path": path} if path else {})})
    given = {"SourceType": ["Git"], "SourceInfo": [info], **{name: [value] for name, value in parameters.items()}}
    return apply(site, "AWS-ApplyAnsiblePlaybooks", json.dumps(given))


def test_a_playbook_from_git_is_applied_with_its_variables(site: Site, server: WebServer, node: TestNode) -> None:
    told = node.root / "srv/told"
    dry = play(site, server, Check="True")
    assert results(dry) == ["downloadContent Success 0", "runShellScript Success 0"], dry.steps[1].stderr
    assert b"changed=1" in dry.steps[1].stdout
    assert not told.exists()
    found = play(site, server, ExtraVariables="greeting='good $(id) day' SSM=True", Verbose="-vv")
    assert results(found) == ["downloadContent Success 0", "runShellScript Success 0"]
    assert told.read_text() == "good $(id) day SSM=True\n"


def test_a_single_zip_is_unpacked_first(site: Site, server: WebServer, node: TestNode) -> None:
    found = play(site, server, "zipped", PlaybookFile="inner/site.yml", InstallDependencies="False")
    assert results(found) == ["downloadContent Success 0", "runShellScript Success 0"], found.steps[1].stderr
    assert (node.root / "srv/told").read_text() == "nothing SSM=True\n"


def test_a_playbook_that_is_not_there_fails_and_says_so(site: Site, server: WebServer) -> None:
    found = play(site, server, PlaybookFile="absent.yml")
    assert results(found) == ["downloadContent Success 0", "runShellScript Failed 2"]
    assert b"there is no playbook absent.yml among the downloaded files" in found.steps[1].stderr


@pytest.fixture
def without_ansible(node: TestNode) -> Iterator[None]:
    program = node.root / "usr/bin/ansible-playbook"
    hidden = program.with_name("hidden")
    program.rename(hidden)
    yield
    program.unlink(missing_ok=True)
    hidden.rename(program)


@pytest.mark.usefixtures("without_ansible")
def test_dependencies_are_installed_where_that_is_asked_for(
    site: Site, server: WebServer, node: TestNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    refused = play(site, server, InstallDependencies="False")
    assert results(refused)[1] == "runShellScript Failed 1"
    assert b"ansible-playbook is not on the node: install it" in refused.steps[1].stderr
    repository = AptRepository(tmp_path_factory.mktemp("apt"))
    fake = '#!/bin/sh\necho "fake $*"\n'
    script = "#!/bin/sh\nchmod 755 /usr/bin/ansible-playbook\n"
    package = Package(
        name="ansible",
        version="7",
        fields={"Replaces": "ansible-core"},
        files={"/usr/bin/ansible-playbook": fake},
        scripts={"postinst": script},
    )
    repository.publish("bookworm", [package])
    repository.install_into(node.root)
    found = play(site, server)
    assert results(found)[1] == "runShellScript Success 0", found.steps[1].stderr
    assert found.steps[1].stdout.endswith(b"fake -i localhost, -c local -v -e SSM=True hello-world-playbook.yml\n")
