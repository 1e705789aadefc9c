"""A process that is late ends, with all that it started."""

import sys
import time

from gattn.benchmark.gpu.processes import after, run_limited

CHILD = """
import subprocess, sys
late = "import time, pathlib; time.sleep(2); pathlib.Path({path!r}).touch()"
subprocess.run([sys.executable, "-c", late])
"""


def test_exit_codes():
    assert run_limited([sys.executable, "-c", "raise SystemExit(7)"], after(60)) == 7


def test_children_end_too(tmp_path):
    late = tmp_path / "late"
    command = [sys.executable, "-c", CHILD.format(path=str(late))]
    assert run_limited(command, after(0.7)) is None
    time.sleep(2.2)
    assert not late.exists()
