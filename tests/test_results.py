"""The results page says what its rows say."""

import re
from pathlib import Path

import pytest

from gattn.benchmark import cost_report
from gattn.benchmark.breadth import markdown as breadth_table
from gattn.benchmark.gpu_static import DEGREES, DTYPES, LAYERS
from gattn.benchmark.gpu_static import report as static_report
from gattn.benchmark.profile import markdown as profile_table
from gattn.benchmark.sampling import markdown as sampling_table
from gattn.benchmark.table import markdown as bench_table
from gattn.compare import diffusion, endurance, read_rows
from gattn.compare.known import page as known_page
from gattn.compare.known import table as known_table
from gattn.compare.learned import cases as learned_cases
from gattn.compare.learned_shown import TABLES as LEARNED
from gattn.compare.paired import markdown, paired
from gattn.compare.planted import draws as planted_draws
from gattn.compare.planted import table as planted_table
from gattn.compare.published import STUDIES as PUBLISHED
from gattn.compare.published.command import tables as published_tables
from gattn.compare.published.table import table as published_table
from gattn.compare.studies import STUDIES
from gattn.compare.table import markdown as study_table

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE = (RESULTS / "index.md").read_text()
OF_ONE_PAGE = [name for name in PUBLISHED if not name.startswith("minesweeper")]
"""The studies of published.md."""


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


def test_the_table_of_compiled_kernels():
    page = (RESULTS / "gpu_static.md").read_text()
    rows = read_rows(RESULTS / "gpu_static" / "rows.jsonl")
    assert static_report(rows) in page
    assert {(row["layer"], row["dtype"]) for row in rows} == {
        (layer.name, dtype) for layer in LAYERS for dtype in DTYPES
    }
    # A kernel that both densities ask for stands with the first.
    assert {row["degree"] for row in rows} <= set(DEGREES)
    assert all(not row["commit"].endswith("+") for row in rows)


@pytest.mark.parametrize("name", STUDIES)
def test_the_tables_of_known_answers(name):
    rows = read_rows(RESULTS / "known" / "trials.jsonl")
    study = STUDIES[name]
    text = (RESULTS / "known.md").read_text()
    place = re.search(f"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
    assert place.strip() == known_table(study, rows).strip()
    assert (RESULTS / "known" / f"{name}.md").read_text() == known_page(name, study, rows)
    found = study.rows(rows)
    assert {len(cell.rows) if cell else 0 for cell in found.values()} == {5}


def test_all_rows_of_known_answers_are_shown():
    rows = read_rows(RESULTS / "known" / "trials.jsonl")
    shown = [cell for study in STUDIES.values() for cell in study.rows(rows).values() if cell]
    keys = {row["key"] for cell in shown for row in cell.rows}
    assert keys == {row["key"] for row in rows if row["status"] == "ok"}


def test_the_table_of_costs():
    rows = read_rows(RESULTS / "cost" / "trials.jsonl")
    assert table_of(study_table(rows)).rstrip() in (RESULTS / "cost.md").read_text()
    assert {(row["breadth"], row["depth"]) for row in rows} == {
        (breadth, depth) for breadth in (1, 2, 3) for depth in (1, 2, 3, 4)
    }


@pytest.mark.parametrize("what", ["build", "attend", "memory"])
def test_the_tables_of_breadth(what):
    rows, text = (
        read_rows(RESULTS / "breadth" / "breadth.jsonl"),
        (RESULTS / "breadth.md").read_text(),
    )
    place = re.search(f"<!-- table {what} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
    assert place.strip() == breadth_table(rows, what).strip()


def test_the_table_of_sampling():
    page = (RESULTS / "sampling.md").read_text()
    rows = read_rows(RESULTS / "sampling" / "sampling.jsonl")
    assert sampling_table(rows) in page
    ours = [row for row in rows if row["provider"] == "gattn"]
    assert {(row["graph"], *row["fan_out"], row["threads"]) for row in ours} == {
        (graph, *fan_out, threads)
        for graph in ("50k", "10m")
        for fan_out in ((10, 10), (15, 10, 5))
        for threads in (1, 2)
    }
    assert all(row["status"] == "ok" and not row["commit"].endswith("+") for row in ours)
    large = [row for row in ours if row["graph"] == "10m"]
    assert all(row["num_nodes"] == 10**7 and row["num_edges"] == 2 * 10**8 for row in large)
    assert max(row["resident_bytes"] for row in large) < 12e9


def test_the_table_of_sequences():
    page = (RESULTS / "sequence.md").read_text()
    rows = read_rows(RESULTS / "sequence" / "cpu.jsonl")
    assert table_of(bench_table(rows)).rstrip() in page
    assert {row["problem"] for row in rows} == {"full", "causal", "packed", "window4k", "window"}


def test_the_tables_of_predicted_costs():
    rows = read_rows(RESULTS / "cost_estimate" / "cpu.jsonl")
    page = (RESULTS / "cost_estimate.md").read_text()
    tables = (cost_report.pairs_table, cost_report.seconds_table, cost_report.memory_table)
    assert all(table(rows) in page for table in tables)
    assert all(f"- {sentence}\n" in page for sentence in cost_report.summary(rows))
    assert {(row["graph"], row["breadth"]) for row in rows} == {
        (graph, breadth)
        for graph in ("cora", "citeseer", "photo", "uniform", "power-law")
        for breadth in (1, 2, 3, 4)
    }
    pairs = [row for row in rows if row["measure"] == "pairs"]
    assert all(abs(row["estimate"] / row["pairs"] - 1) < 0.1 for row in pairs)


def test_the_tables_of_diffusion():
    rows, plan = read_rows(RESULTS / "diffusion" / "trials.jsonl"), diffusion.Plan()
    text = (RESULTS / "diffusion.md").read_text()
    for name, body in diffusion.tables(rows, plan).items():
        place = re.search(f"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
        assert place.strip() == body.strip() and body


def test_all_rows_of_diffusion_are_of_its_plan():
    rows, plan = read_rows(RESULTS / "diffusion" / "trials.jsonl"), diffusion.Plan()
    planned = set()
    for dataset in diffusion.DATASETS:
        for arm in diffusion.ARMS:
            planned |= {t.key() for trials in plan.search(dataset, arm) for t in trials}
            planned |= {trial.key() for trial in plan.final(dataset, arm, rows)}
    assert {row["key"] for row in rows if row["status"] == "ok"} == planned


@pytest.mark.parametrize("name", LEARNED)
def test_the_tables_of_learned_breadth(name):
    rows = read_rows(RESULTS / "learned" / "rows.jsonl")
    text = (RESULTS / "learned.md").read_text()
    place = re.search(f"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
    assert place.strip() == LEARNED[name](rows).strip()
    wanted = {case.key() for case in learned_cases([name], 5)}
    assert wanted == {row["key"] for row in rows if row["study"] == name}


def test_what_is_said_of_the_candidates_of_diffusion():
    rows, plan = read_rows(RESULTS / "diffusion" / "trials.jsonl"), diffusion.Plan()
    by_key = {row["key"]: row for row in rows}
    ahead = {}
    for dataset in diffusion.DATASETS:
        mean = [
            [sum(by_key[t.key()]["val"] for t in trials) for trials in plan.search(dataset, arm)]
            for arm in diffusion.ARMS
        ]
        ahead[dataset] = sum(mine > none for mine, none in zip(*mean, strict=True))
    assert ahead == {"cora": 3, "citeseer": 1}


@pytest.mark.parametrize("name", OF_ONE_PAGE)
def test_the_tables_of_published_results(name):
    text = (RESULTS / "published.md").read_text()
    for place, body in published_tables([name], RESULTS / "published").items():
        found = re.search(f"<!-- table {place} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
        assert found.strip() == body.strip()


@pytest.mark.parametrize("name", OF_ONE_PAGE)
def test_all_rows_of_published_results_are_of_their_study(name):
    rows = read_rows(RESULTS / "published" / name / "trials.jsonl")
    planned = set()
    for line in PUBLISHED[name].lines:
        planned |= {trial.key() for many in line.candidates() for trial in many}
        planned |= {trial.key() for trial in line.final(rows)}
    assert rows and {row["key"] for row in rows} <= planned


@pytest.mark.parametrize("name", ["minesweeper", "minesweeper-breadth"])
def test_the_tables_of_minesweeper(name):
    study, rows = PUBLISHED[name], read_rows(RESULTS / "published" / name / "trials.jsonl")
    text = (RESULTS / "minesweeper.md").read_text()
    place = re.search(f"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
    assert place.strip() == published_table(study, rows).strip()
    planned = {trial.key() for line in study.lines for trial in line.final(rows)}
    assert {row["key"] for row in rows if row["status"] == "ok"} <= planned
    assert all(len(line.cell(rows).rows) > 1 for line in study.lines)


def test_ten_masks_of_minesweeper_are_above_the_published():
    rows = read_rows(RESULTS / "published" / "minesweeper" / "trials.jsonl")
    assert [row["split"] for row in rows] == list(range(10))
    assert sum(row["test"] for row in rows) / 10 >= 0.98


def test_the_table_of_planted_truth():
    rows = read_rows(RESULTS / "planted" / "trials.jsonl")
    page = (RESULTS / "planted.md").read_text()
    assert planted_table(planted_draws(10, first_seed=20), rows, 3) in page
    assert len(read_rows(RESULTS / "planted" / "first_draws.jsonl")) == 240


def test_the_page_of_endurance():
    rows = read_rows(RESULTS / "endurance" / "kills.jsonl")
    page = (RESULTS / "endurance.md").read_text()
    assert endurance.table(rows) in page
    assert all(f"- {line}\n" in page for line in endurance.sentences(rows))
