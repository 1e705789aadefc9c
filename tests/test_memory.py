"""What memory is free."""

from pathlib import Path

import pytest

from gattn import _memory


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux only")
def test_what_is_free_is_no_more_than_there_is() -> None:
    found = _memory.available()
    assert found is not None
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < found <= total


def test_a_group_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert _memory._left_in_group(tmp_path) == 600
    (tmp_path / "memory.current").write_text("1400\n")
    assert _memory._left_in_group(tmp_path) == 0


def test_a_group_without_a_limit_says_nothing(tmp_path: Path) -> None:
    assert _memory._left_in_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert _memory._left_in_group(tmp_path) is None
