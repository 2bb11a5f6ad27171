"""What must be asked to know: takes desired state and targets, gives for each node what its expectations name; pure."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.ids import AssociationName, NodeId
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.questions import Check, Questions
from reconciler.patching.which_baseline import may_have_baseline
from reconciler.targets.resolve import Targets


def questions(
    desired: DesiredState, targets: Targets, about_patches: AbstractSet[AssociationName] = frozenset()
) -> Mapping[NodeId, Questions]:
    """Give the questions of every node of the fleet; nodes with equal ones share a record."""
    of_set: dict[tuple[tuple[str, ...], bool], Questions] = {}
    interned: dict[tuple[object, ...], Questions] = {}
    answer: dict[NodeId, Questions] = {}
    own = [one for one in desired.baselines.values() if not one.bundled]
    for node in targets.nodes:
        names = targets.associations_of(node)
        meant = bool(about_patches) and not about_patches.isdisjoint(names)
        place = names, meant or (bool(own) and may_have_baseline(desired.nodes[node].tags, own))
        if place not in of_set:
            of_all = questions_of(desired.associations[name] for name in names)
            asked = replace(of_all, fleet=str(desired.fleet.id), patches=place[1])
            key = (asked.files, asked.sysctls, asked.services, asked.checks, asked.ports, asked.mounts, asked.patches)
            of_set[place] = interned.setdefault(key, asked)
        answer[node] = of_set[place]
    return answer


def questions_of(associations: Iterable[Association]) -> Questions:
    """Gather what some associations ask of one node."""
    files: set[str] = set()
    sysctls: set[str] = set()
    services: set[str] = set()
    checks: set[Check] = set()
    ports: set[int] = set()
    mounts = False
    for association in associations:
        expect = association.expect
        if expect is None:
            continue
        files.update(file.path for file in expect.files)
        sysctls.update(expect.sysctls)
        services.update(service_name(service.name) for service in expect.services)
        ports.update(port.port for port in expect.ports)
        mounts = mounts or bool(expect.mounts)
        checks.update(Check(script=script, as_root=association.check_as_root) for script in expect.checks)
    return Questions(
        files=tuple(sorted(files)),
        sysctls=tuple(sorted(sysctls)),
        services=tuple(sorted(services)),
        checks=tuple(sorted(checks)),
        ports=tuple(sorted(ports)),
        mounts=mounts,
    )


def service_name(name: str) -> str:
    """Give the key of a service among the facts: without `.service`."""
    return name.removesuffix(".service")
