"""Tables: means and spreads by hand, cells, what failed."""

from rich.console import Console

from gattn.compare import cells, markdown, print_table, rich_table
from gattn.compare.cells import varying
from gattn.compare.table import common


def lines(rows):
    return [line for line in markdown(rows).splitlines() if line.startswith("|")]


def test_markdown_has_a_line_per_cell_and_marks_the_best(study):
    table = lines(study)
    assert len(table) == 2 + 6
    assert table[0].startswith("| breadth | depth | seeds | test ROC AUC (%) |")
    assert table[2] == (
        "| 1 | 1 | 2 | 77.00 ± 1.41 | 64.3 to 89.7 | -12.00 | 1.00 | 78.00 ± 1.41 | 0.050 | 1 "
        "| 1,000 | 1,234 |"
    )
    assert [line for line in table if "**" in line] == [table[-1]]
    assert "**89.00 ± 1.41**" in table[-1]


def test_best_is_what_validation_says(study):
    for row in study:
        row["val"] = 1 - row["val"]
    assert "**" in lines(study)[2]


def test_settings_that_all_share_stand_above_and_others_in_columns(study):
    assert "minesweeper size=8, model attention, score scaled_dot" in markdown(study)
    changed = [{**row, "key": f"{row['key']}x", "lr": 0.5} for row in study]
    table = lines([*study, *changed])
    assert table[0].startswith("| breadth | depth | lr |")
    assert len(table) == 2 + 12
    assert varying(cells([*study, *changed])) == ["breadth", "depth", "lr"]
    assert "lr" not in common(cells([*study, *changed]))


def test_failed_trials_say_why(study):
    gone = ("val", "test", "pairs", "parameters", "seconds_per_epoch", "peak_memory_bytes")
    rows = [
        {k: v for k, v in row.items() if k not in gone}
        | {"status": "failed", "reason": "out of | [a, b]"}
        if row["breadth"] == 3 and (row["depth"] == 2 or row["seed"] == 0)
        else row
        for row in study
    ]
    table = lines(rows)
    assert table[-1] == "| 3 | 2 | 0 | 2 failed: out of \\| [a, b]" + " | -" * 8 + " |"
    assert "88.00 (1 failed: out of \\| [a, b])" in table[4]
    assert "**" in table[6], "a mean of fewer seeds is not called the best"


def test_brackets_in_a_reason_are_not_markup(study):
    console = Console(width=200, record=True)
    console.print(rich_table([{**row, "status": "failed", "reason": "[n, K]"} for row in study]))
    assert "2 failed: [n, K]" in console.export_text()


def test_one_seed_has_no_spread_and_no_memory_is_a_dash(study):
    rows = [{**row, "peak_memory_bytes": None} for row in study if row["seed"] == 0]
    assert lines(rows)[2] == "| 1 | 1 | 1 | 76.00 | 77.00 | 0.050 | - | 1,000 | 1,234 |"


def test_rows_older_than_a_setting_are_read(study):
    old = [{k: v for k, v in row.items() if k != "encoding"} for row in study]
    assert markdown(old) == markdown(study)
    new = [{**row, "key": f"{row['key']}x", "encoding": "laplacian"} for row in study]
    assert lines([*old, *new])[0].startswith("| breadth | depth | encoding |")


def test_no_rows_are_no_error():
    assert "no rows" in markdown([])


def test_the_terminal_shows_the_same(study, capsys):
    console = Console(width=200, record=True)
    console.print(rich_table(study))
    text = console.export_text()
    assert "77.00 ± 1.41" in text
    assert "**" not in text
    print_table(study)
    assert "breadth" in capsys.readouterr().out


def test_a_file_is_what_its_content_is_wherever_it_was(study):
    own = [
        {**study[0], "key": str(n), "dataset": path, "dataset_sha256": content * 64}
        for n, (path, content) in enumerate([("a/g.pt", "1"), ("b/g.pt", "1"), ("a/g.pt", "2")])
    ]
    assert [(c.settings["dataset"], len(c.rows)) for c in cells(own)] == [
        ("g.pt (11111111)", 2),
        ("g.pt (22222222)", 1),
    ]
