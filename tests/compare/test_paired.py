"""The paired comparison against a hand-worked one."""

import json

import pytest

from gattn.compare import Trial
from gattn.compare.paired import compared, main, markdown, paired


def rows(model, results, dataset="cora"):
    return [
        Trial.of(dataset, model, seed=seed).row() | {"status": "ok", "test": result}
        for seed, result in enumerate(results)
    ]


def test_a_difference_with_its_interval():
    # Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2) = 4.302653 at 97.5 %.
    (found,) = paired(rows("gat", [2, 4, 6]) + rows("pyg-gat", [1, 2, 3]), "gat", "pyg-gat")
    assert found.difference == 2
    assert found.interval == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert found.p_value == pytest.approx(0.0741799)


def test_equal_results_are_no_difference():
    both = rows("gat", [0.5, 0.5]) + rows("pyg-gat", [0.5, 0.5])
    (found,) = paired(both, "gat", "pyg-gat")
    assert (found.difference, found.interval, found.p_value) == (0, (0, 0), 1)
    assert "| cora | 2 | 50.00 ± 0.00 | 50.00 ± 0.00 | +0.00 | +0.00 to +0.00 | 1.00 |" in markdown(
        [found]
    )


def test_unequal_runs_are_refused():
    with pytest.raises(ValueError, match="found 3 of gat and 2 of pyg-gat on cora"):
        paired(rows("gat", [1, 2, 3]) + rows("pyg-gat", [1, 2]), "gat", "pyg-gat")
    with pytest.raises(ValueError, match="found none of gat or pyg-gat"):
        paired([], "gat", "pyg-gat")


def test_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    both = rows("gat", [0.5, 0.6]) + rows("pyg-gat", [0.4, 0.6])
    path.write_text("".join(json.dumps(row) + "\n" for row in both))
    main([str(path), "--models", "gat", "pyg-gat"])
    assert "| cora | 2 | 55.00 ± 7.07 | 50.00 ± 14.14 | +5.00 |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none.jsonl"), "--models", "gat", "gatv2"])
    assert capsys.readouterr().err.startswith("error: ")


def test_results_that_were_paired_already():
    (expected,) = paired(rows("gat", [2, 4, 6]) + rows("pyg-gat", [1, 2, 3]), "gat", "pyg-gat")
    assert compared("cora", ("gat", "pyg-gat"), [2, 4, 6], [1, 2, 3]) == expected
    with pytest.raises(ValueError, match="found 2 of a and 1 of b on cora, expected as many"):
        compared("cora", ("a", "b"), [1, 2], [1])
