"""Table and figure are functions of rows."""

import pytest

from gattn.benchmark import figure, markdown, print_table
from gattn.benchmark.table import duration, lines, main, missing, size


@pytest.fixture
def rows():
    """Times of three providers and one peak, as the runner writes them."""
    common = {"problem": "cora", "layer": "GATConv-8x8", "pass": "forward+backward"}
    common |= {"quick": False, "device": "cpu", "threads": 2, "status": "ok"}
    common |= {"nodes": 2708, "pairs": 10556}
    time = {"measure": "time", "baseline": None, "ratio": None, "ratios": {}}
    return [
        {**common, **time, "key": "a", "provider": "pyg", "seconds": 0.004, "rounds": [0.004]},
        {
            **common,
            **time,
            "key": "b",
            "provider": "gattn",
            "seconds": 0.002,
            "rounds": [0.001, 0.002, 0.004],
            "baseline": "pyg",
            "ratio": 0.5,
            "ratio_low": 0.25,
            "ratio_high": 1.0,
            "ratios": {"pyg": [0.5, 0.25, 1.0], "dgl": [0.8, 0.7, 0.9]},
        },
        {
            **common,
            "key": "c",
            "provider": "gattn",
            "measure": "memory",
            "peak_bytes": 3_000_000,
            "resident_bytes": 5 * 10**9,
        },
        {
            **common,
            "key": "d",
            "provider": "pyg-compile",
            "measure": "time",
            "status": "failed",
            "reason": "no | luck",
        },
        {
            **common,
            "key": "e",
            "provider": "dgl",
            "measure": "time",
            "status": "unavailable",
            "reason": "dgl is not installed",
        },
    ]


def test_the_table(rows):
    page = markdown(rows)
    assert page.splitlines()[2:5] == [
        "| cora | GATConv-8x8 | forward+backward | pyg | 4.0 ms (4.0 ms to 4.0 ms) | - |  | - |  |",
        "| cora | GATConv-8x8 | forward+backward | gattn | 2.0 ms (1.0 ms to 4.0 ms) "
        "| 0.50 (0.25 to 1.00) | dgl 0.80 | 3.0 MB | resident 5.00 GB |",
        "| cora | GATConv-8x8 | forward+backward | pyg-compile | - | - |  | - "
        "| failed: no \\| luck |",
    ]
    assert page.endswith("\n- dgl: dgl is not installed\n")


def test_a_baseline_other_than_pyg_is_named(rows):
    rows[1] |= {"baseline": "gattn@regular", "ratios": {"gattn@regular": [0.5, 0.25, 1.0]}}
    assert "by gattn@regular" in markdown(rows)


def test_later_rows_take_the_place_of_earlier_ones(rows):
    again = {**rows[0], "seconds": 9.0, "rounds": [9.0]}
    (first, *_) = lines([*rows, again])
    assert first["time"] is again
    assert len(lines([*rows, again])) == len(lines(rows)) == 4


def test_the_terminal_has_the_same_table(rows, capsys):
    print_table(rows)
    printed = " ".join(capsys.readouterr().out.split())
    assert "gattn 2.0 ms (1.0 ms to 4.0 ms) 0.50 (0.25 to 1.00) dgl 0.80 3.0 MB" in printed
    assert "not measured: dgl: dgl is not installed" in printed


def test_missing_says_each_reason_once(rows):
    assert missing([*rows, *rows]) == ["dgl: dgl is not installed"]


def test_numbers_as_one_writes_them():
    written = [duration(value) for value in (12.345, 0.0123, 4.2e-5)]
    assert written == ["12.35 s", "12.3 ms", "42 µs"]
    assert [size(value) for value in (2.5e9, 1.5e6)] == ["2.50 GB", "1.5 MB"]


@pytest.fixture
def texts(monkeypatch):
    """All texts of the figures that are drawn."""
    from matplotlib.figure import Figure

    found, saved = [], Figure.savefig

    def spy(self, *arguments, **options):
        for axes in self.axes:
            found.extend(text.get_text().strip() for text in axes.texts)
            found.extend(label.get_text() for label in axes.get_yticklabels())
            found.append(axes.get_title(loc="left"))
        return saved(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


def test_the_figure(rows, tmp_path, texts):
    path = figure(rows, tmp_path / "cpu.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]
    assert {"4.0 ms", "2.0 ms  ×0.50", "3.0 MB", "GATConv-8x8  gattn"} <= set(texts)
    assert "cora: 2,708 nodes, 10,556 pairs; cpu, 2 threads\n" in texts
    assert not any("luck" in text or "dgl" in text for text in texts)


def test_a_star_stands_beside_the_ring(rows, tmp_path, texts):
    star = [{**rows[0], "problem": name, "key": name} for name in ("regular", "star")]
    figure(star, tmp_path / "cpu.png")
    assert {"regular  GATConv-8x8  pyg", "star  GATConv-8x8  pyg"} <= set(texts)


def test_nothing_to_draw_is_refused(rows, tmp_path):
    with pytest.raises(ValueError, match="rows: found none that is finished"):
        figure(rows[3:], tmp_path / "cpu.png")
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_files(rows, tmp_path, capsys):
    from gattn._rows import append_row

    for place, row in enumerate(rows):
        append_row(tmp_path / f"{place % 2}.jsonl", row)
    main([str(tmp_path / "0.jsonl"), str(tmp_path / "1.jsonl")])
    printed = capsys.readouterr().out
    assert printed == markdown(rows[0::2] + rows[1::2])
