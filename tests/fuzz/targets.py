"""The table of what is fuzzed: a parser of foreign text is a line here."""

from collections.abc import Mapping

from tests.fuzz.branch_probes import BRANCH_TARGETS
from tests.fuzz.document_probes import DOCUMENT_TARGETS
from tests.fuzz.import_probes import IMPORT_TARGETS
from tests.fuzz.node_probes import NODE_TARGETS
from tests.fuzz.patch_probes import PATCH_TARGETS
from tests.fuzz.repository_probes import REPOSITORY_TARGETS
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    **NODE_TARGETS,
    **REPOSITORY_TARGETS,
    **DOCUMENT_TARGETS,
    **BRANCH_TARGETS,
    **IMPORT_TARGETS,
    **PATCH_TARGETS,
}
