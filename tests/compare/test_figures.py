"""Further figures: what they draw, and the same bytes for the same rows."""

import pytest
from matplotlib.axes import Axes

from gattn.compare import heat_map, reach
from gattn.compare.figures import curves, pareto


@pytest.fixture
def lines(monkeypatch):
    """Collects the lines that are drawn."""
    found = []
    real = Axes.plot

    def plot(self, x, y, *more, **style):
        found.append((list(x), list(y)))
        return real(self, x, y, *more, **style)

    monkeypatch.setattr(Axes, "plot", plot)
    return found


def with_curves(rows):
    return [{**row, "curve": [[0, 1.0, 0.9, 0.5], [7, 0.4, 0.3, 0.8]]} for row in rows]


def test_the_front_is_by_validation(study, tmp_path, lines):
    assert pareto(study, tmp_path / "p.png") == tmp_path / "p.png"
    seconds, memory = lines
    assert seconds[0] == pytest.approx([0.05, 0.1, 0.15])
    assert seconds[1] == pytest.approx([80.0, 85.0, 90.0])
    assert memory[0] == pytest.approx([1, 2, 3])


def test_curves_have_a_line_for_each_trial(study, tmp_path, lines):
    curves(with_curves(study), tmp_path / "c.png")
    assert len(lines) == 2 * len(study)
    assert lines[0] == ([0, 7], pytest.approx([50.0, 80.0]))


def test_without_curves_nothing_is_written(study, tmp_path):
    assert curves(study, tmp_path / "c.png") is None
    assert list(tmp_path.iterdir()) == []


def test_zero_bytes_of_memory_can_be_drawn(study, tmp_path):
    pareto([{**row, "peak_memory_bytes": 0} for row in study], tmp_path / "p.png")
    pareto([{**row, "peak_memory_bytes": None} for row in study], tmp_path / "p.png")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_rows_give_equal_bytes(suffix, study, reference, tmp_path):
    draws = (heat_map, pareto, curves, lambda rows, path: reach(rows, reference, path))
    for number, draw in enumerate(draws):
        first, second = (tmp_path / f"{number}{name}{suffix}" for name in "ab")
        draw(with_curves(study), first)
        draw(with_curves(study), second)
        assert first.read_bytes() == second.read_bytes()


def test_an_svg_has_its_words_as_words(study, tmp_path):
    text = heat_map(study, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "breadth (hops)" in text and "77.0" in text and "<dc:date>" not in text


def test_other_formats_are_refused(study, tmp_path):
    with pytest.raises(ValueError, match=r"path: found 'a.pdf', expected a name that ends in"):
        heat_map(study, tmp_path / "a.pdf")
