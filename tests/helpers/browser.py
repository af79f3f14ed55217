"""Headless Chromium, which shows what a page becomes in a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: `.ci/run` names the browser in ``MURINE_BROWSER``: where it is named, it has to start.
NAMED = os.environ.get("MURINE_BROWSER")
BROWSER = NAMED or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(
    BROWSER is None,
    reason="needs Chromium: `apt-get install chromium` on Debian, as .ci/run does, or MURINE_BROWSER=/path/to/it",
)


def shown(file: Path, width: int, folder: Path) -> str:
    """Return the document that a page has become after its scripts have run, in a window of so many pixels.

    ``folder`` takes what the browser writes.
    """
    quiet = ("--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking")
    command = [BROWSER, "--headless", "--no-sandbox", *quiet, "--disable-component-update", f"--user-data-dir={folder}"]
    command += ["--hide-scrollbars", f"--window-size={width},900", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=300)
    if done.returncode != 0 and not NAMED:
        pytest.skip(f"Chromium does not start here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
