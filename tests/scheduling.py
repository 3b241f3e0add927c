"""Which tests run beside which: those that start a cluster's servers run one after another, in one process."""

from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["pytest_xdist_make_scheduler"]

_MARK: Final = "xdist_group"


class _Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of the files that are marked with a group run together; the others by themselves.

    As `--dist loadgroup` does it, which with pytest 9 takes no notice of the marks.
    """

    _files: dict[str, bool]

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path not in self._files:
            self._files[path] = _MARK in (Path(str(self.config.rootpath)) / path).read_text(encoding="utf-8")
        return "group" if self._files[path] else nodeid


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give pytest-xdist the scheduler."""
    scheduler = _Grouped(config, log)
    scheduler._files = {}
    return scheduler
