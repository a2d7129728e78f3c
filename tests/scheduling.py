"""Which tests one worker runs one after the other: all of a file that shares real processes, else each by itself.

pytest-xdist's own marks for this are lost with the pytest that we pin (it no longer looks at what the marks change), and without
them two workers would each start what a file shares, and one file's tests would meet in two clouds.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SHARING = ("tests/api/", "tests/contract/", "tests/system/", "tests/security/")


class ByFile(LoadScopeScheduling):
    """Hands out files of `SHARING` whole."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(SHARING) else nodeid
