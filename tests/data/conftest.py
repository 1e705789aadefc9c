"""Real data for tests: the folder that GATTN_DATA names."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets; without GATTN_DATA a test skips, with a wrong one it fails."""
    folder = os.environ.get("GATTN_DATA")
    if not folder:
        pytest.skip("GATTN_DATA is not set: it names the folder of real datasets (README)")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"GATTN_DATA: found {folder}, expected an existing folder")
    return path
