"""Tables and sentences on predicted and measured costs, from rows by hand."""

import pytest

from gattn.benchmark import cost_report as report


def pairs(**changes) -> dict:
    row = {"measure": "pairs", "graph": "g", "breadth": 2, "pairs": 1000, "estimate": 1010.0}
    row |= {"low": 990.0, "high": 1030.0, "samples": 64, "counted": False}
    row |= {"estimate_seconds": 0.123, "status": "ok", "key": "a"}
    return {**row, **changes}


def step(way: str, predicted: float = 2.0, seconds: float = 1.0, **changes) -> dict:
    row = {"measure": "step", "graph": "g", "breadth": 2, "way": way, "status": "ok", "key": way}
    row |= {"predicted_seconds": predicted, "seconds": seconds}
    row |= {"predicted_bytes": 3e6, "bytes": 4_000_000}
    return {**row, **changes}


def test_a_line_of_pairs() -> None:
    (line,) = report.pairs_table([pairs()]).splitlines()[2:]
    assert line == "| g | 2 | 1,000 | 1,010 | 990 to 1,030 | +1.00% | 64 | 0.12 |"
    assert "| counted |" in report.pairs_table([pairs(counted=True)])


def test_a_line_of_steps() -> None:
    skipped = step("streamed", status="skipped")
    rows = [step("stored"), skipped]
    (line,) = report.seconds_table(rows).splitlines()[2:]
    assert line == "| g | 2 | 2 s / 1 s (2.00) | 2 s, skipped |  |"
    (line,) = report.memory_table(rows).splitlines()[2:]
    assert line == "| g | 2 | 3 MB / 4 MB (0.75) | 3 MB, skipped |  |"


def test_the_last_row_of_a_key_counts() -> None:
    rows = [step("stored"), step("stored", seconds=4.0)]
    assert "(0.50)" in report.seconds_table(rows) and "(2.00)" not in report.seconds_table(rows)


def test_what_is_said() -> None:
    rows = [step("stored", key="a"), step("stored", predicted=5.0, key="b")]
    assert report.summary(rows)[0] == (
        "Seconds, stored: 1 of 2 predictions are within a factor of 2; predicted by measured is "
        "2.00 to 5.00."
    )
    assert len(report.summary(rows)) == 2


def test_a_figure(tmp_path) -> None:
    rows = [step("stored"), step("streamed", seconds=3.0), step("diffusion", graph="h")]
    path = report.figure(rows, tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_memory_that_was_not_seen_is_left_out(tmp_path) -> None:
    rows = [step("stored", bytes=0), step("streamed", bytes=None)]
    assert [line.split(",")[0] for line in report.summary(rows)] == ["Seconds", "Seconds"]
    assert "| 3 MB, ok |" in report.memory_table(rows)
    assert report.figure(rows, tmp_path / "figure.png").exists()


def test_ratios_are_of_measured_steps_only() -> None:
    rows = [step("stored", predicted=3.0), step("streamed", status="failed")]
    assert [report.ratio(row, "seconds") for row in report.measured(rows)] == [pytest.approx(3.0)]
