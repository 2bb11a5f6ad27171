"""Notices that name a version which a baseline's source offers; they come in the frame of `source_offers`."""

from reconciler.inventory.apt import by_row
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.facts.source_offers import sourced
from reconciler.model.patch_lines import notice_line


def parse(stdout: str, _: Asked) -> Rows:
    """Give ID -> lines of notices; two sources may publish the same one differently."""
    return dict(by_row((notice.id, notice_line(notice)) for patch in sourced(stdout) for notice in patch.notices))


FACT = Fact(section="source_notices", frame="source_offers", parse=parse)
