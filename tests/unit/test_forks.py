"""Processes forked after painting, which is what multiprocessing does on Linux before 3.14."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, sys
import impasto

settings = {"size": 48} | dict(pair.split("=") for pair in sys.argv[3:])

def work(number):
    return impasto.stylize(*sys.argv[1:3], **settings).width

if __name__ == "__main__":
    work(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(work, range(3)))
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks here"
)
@pytest.mark.parametrize(
    "settings",
    [
        ("method=instant",),
        ("preset=tutorial", "steps=2", "kernel=winograd", "precision=float32"),
        ("preset=tutorial", "steps=2", "kernel=plain", "precision=float32"),
    ],
)
def test_forked_workers_paint(settings, photo, painting, tmp_path):
    script = Path(tmp_path / "script.py")
    script.write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, script, photo, painting, *settings],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout.strip() == "[48, 48, 48]", ran.stderr
