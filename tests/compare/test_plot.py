"""Figures: written whole, with every number that they are about."""

import subprocess
import sys

import matplotlib.image
import pytest
from matplotlib.axes import Axes

from gattn.compare import heat_map, reach


@pytest.fixture
def texts(monkeypatch):
    """Collects what is written into heat maps."""
    found = []
    real = Axes.text

    def text(self, x, y, content, **more):
        found.append((x, y, content))
        return real(self, x, y, content, **more)

    monkeypatch.setattr(Axes, "text", text)
    return found


def test_a_heat_map_has_every_cell_in_its_place(study, tmp_path, texts):
    assert heat_map(study, tmp_path / "a.png") == tmp_path / "a.png"
    metric, cost = texts[:6], texts[6:]
    assert (0, 0, "77.0\n± 1.4") in metric
    assert (2, 1, "89.0\n± 1.4") in metric
    assert (2, 0, "150 ms\n3 MiB") in cost
    assert len(cost) == 6
    image = matplotlib.image.imread(tmp_path / "a.png")
    assert image.shape[1] > 1000
    assert image[..., :3].std() > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_missing_and_failed_cells_are_left_out(study, tmp_path, texts):
    rows = [row for row in study if (row["breadth"], row["depth"]) != (2, 2)]
    rows = [
        {**row, "status": "failed", "reason": "wild"} if row["breadth"] == 3 else row
        for row in rows
    ]
    heat_map(rows, tmp_path / "a.png")
    assert len(texts) == 2 * 3


def test_one_cell_without_memory_is_drawn(study, tmp_path, texts):
    heat_map(
        [{**study[0], "peak_memory_bytes": None, "seconds_per_epoch": 2.0}], tmp_path / "a.png"
    )
    assert texts[1][2] == "2.00 s"


def test_several_models_have_panels_each(study, tmp_path, texts):
    others = [{**row, "key": row["key"] + "x", "model": "gat"} for row in study]
    heat_map([*study, *others], tmp_path / "a.png")
    assert len(texts) == 4 * 6


def test_reach_draws_models_and_reference(study, reference, tmp_path, monkeypatch):
    lines = []
    real = Axes.errorbar

    def errorbar(self, x, y, **more):
        lines.append((more["label"], list(y)))
        return real(self, x, y, **more)

    monkeypatch.setattr(Axes, "errorbar", errorbar)
    reach(study, reference, tmp_path / "r.png")
    assert [label for label, _ in lines][1:] == ["depth 1", "depth 2"]
    assert lines[0][1] == pytest.approx([86.0, 92.0, 94.0, 96.0])
    assert lines[2][1] == pytest.approx([79.0, 84.0, 89.0])
    assert (tmp_path / "r.png").stat().st_size > 10_000


def test_nothing_finished_is_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="rows: found none that is finished"):
        heat_map([], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_figures_need_no_screen_and_matplotlib_only_when_drawn():
    code = "import sys, gattn.compare; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
