"""The results page says what its rows say."""

import re
from pathlib import Path

from gattn.benchmark.profile import markdown as profile_table
from gattn.benchmark.table import markdown as bench_table
from gattn.compare import read_rows
from gattn.compare.paired import markdown, paired
from gattn.compare.table import markdown as study_table

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE = (RESULTS / "index.md").read_text()


def table_of(text: str) -> str:
    """The first Markdown table of a text."""
    return re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0]


def test_the_paired_table():
    rows = read_rows(RESULTS / "planetoid_gat.jsonl")
    assert markdown(paired(rows, "gat", "pyg-gat")) in PAGE
    assert {(row["dataset"], row["model"]) for row in rows} == {
        (dataset, model) for dataset in ("cora", "citeseer") for model in ("gat", "pyg-gat")
    }
    assert len({row["key"] for row in rows if row["status"] == "ok"}) == 120


def test_the_table_of_further_seeds():
    rows = read_rows(RESULTS / "planetoid_gat_more.jsonl")
    assert markdown(paired(rows, "gat", "pyg-gat")) in PAGE


def test_the_demo_table():
    assert table_of(study_table(read_rows(RESULTS / "demo" / "trials.jsonl"))) in PAGE
    said = [line for line in (RESULTS / "demo" / "table.md").read_text().splitlines() if line]
    assert all(line in PAGE for line in said if line.startswith("- "))


def test_the_benchmark_tables():
    page = (RESULTS / "cpu.md").read_text()
    timed, profiled = (read_rows(RESULTS / name) for name in ("cpu.jsonl", "cpu_profile.jsonl"))
    assert len(timed) > 50 and len(profiled) == 50
    assert table_of(bench_table(timed)) in page
    assert profile_table(profiled) in page
