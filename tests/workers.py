"""Which worker of pytest-xdist runs a test."""

from functools import cache

from xdist.scheduler import LoadGroupScheduling

from tests import ROOT


class GroupScheduling(LoadGroupScheduling):
    """Keeps a file that names an xdist_group on one worker, which trains what its tests share.

    pytest-xdist 3.8 forgets the groups when pytest is 9.2 or newer (its issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _names_a_group(path) else super()._split_scope(nodeid)


@cache
def _names_a_group(path: str) -> bool:
    return "xdist_group" in (ROOT / path).read_text()
