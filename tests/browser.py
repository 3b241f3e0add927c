"""A real browser: Debian's Chromium, without a network of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_INSTALL: Final = "apt-get install -y -qq -o DPkg::Lock::Timeout=300 chromium"
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give a browser. Skips the test where there is none and none can be installed, but for CI, which has one."""
    program = _found() or _installed()
    if program is None:
        if "CI" in os.environ:
            pytest.fail(f"there is no browser; install one: {_INSTALL}")
        pytest.skip(f"there is no browser; install one: sudo {_INSTALL}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield chromium
        chromium.close()


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _installed() -> str | None:
    if os.geteuid() or not shutil.which("apt-get"):
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Debian's index may be older than what its server still has
    for command in ("apt-get update -qq", _INSTALL):
        subprocess.run(command.split(), env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return _found()
