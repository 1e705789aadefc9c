"""The parts of the page: what stands in the maps, the charts, the table."""

import json
import re
from itertools import chain

import pytest

from gattn.compare.html.answer import answer, choices
from gattn.compare.html.curves import learning_curves
from gattn.compare.html.failures import count_failed, failures
from gattn.compare.html.fronts import fronts
from gattn.compare.html.heat import heat_maps
from gattn.compare.html.inside import gates, hop_mass, radii
from gattn.compare.html.shown import shown
from gattn.compare.html.table import table, verdict
from gattn.compare.html.trials import outcome, trials


def words(markup):
    """The text of markup, its parts set apart by bars."""
    return re.sub(r"\|+", "|", re.sub(r"<[^>]*>", "|", markup))


def test_the_answer_is_the_recommendation(study):
    close = [{**row, "val": 0.9 + 0.01 * row["seed"]} for row in study]
    rows = [a if a["breadth"] == 3 else b for a, b in zip(close, study, strict=True)]
    found = shown(rows)
    (choice,) = choices(found)
    assert choice.cell.name == "breadth 3, depth 1"
    assert choice.why == "The best by validation (90.50 %); nothing cheaper comes as close."
    said = words(answer(found, [choice]))
    assert "breadth |3|" in said and "|87.0 ± 1.4 %|" in said
    assert "As good by validation: |breadth 3, depth 2| (test 89.0 %, 150 ms per epoch)" in said


def test_maps_have_a_cell_for_each_place_and_gaps(study):
    rows = [row for row in study if (row["breadth"], row["depth"]) != (2, 2)]
    rows = [{**r, "status": "failed", "reason": "w"} if r["breadth"] == 3 else r for r in rows]
    (maps,) = heat_maps(shown(rows))
    assert maps.count('class="heat"') == 4
    assert maps.count('class="none"') == 4
    assert maps.count(">failed<") == 2 * 4
    assert "|77.0|± 1.4|" in words(maps) and "|50.0 ms|" in words(maps)


def test_single_cells_share_one_list(study):
    rows = [{**r, "lr": 0.1 * r["breadth"], "depth": 1} for r in study if r["depth"] == 1]
    (made,) = heat_maps(shown(rows))
    assert "listed" in made and made.count('scope="row"') == 3


def test_fronts_mark_who_is_not_beaten_and_who_is_recommended(study):
    found = shown(study)
    ring = found[4].anchor
    (made,) = fronts(found, {ring})
    assert made.count("<svg") == 2 and made.count('class="ring"') == 2
    assert made.count('class="point best"') == 2 * 3 and made.count('class="point"') == 2 * 3
    assert 'class="error"' not in made  # two seeds
    assert "breadth 1, depth 2: validation 80.0 ± 1.4 %, test 79.0 ± 1.4 %, 50.0 ms" in made


def test_costs_that_are_not_known_have_no_chart(study):
    rows = [{**row, "peak_memory_bytes": None} for row in study]
    (made,) = fronts(shown(rows), set())
    assert made.count("<svg") == 1


def test_the_table_has_what_its_script_needs(study):
    found = shown(study)
    made = table(found, {found[0].anchor})
    heads = [json.loads(h.replace("&quot;", '"')) for h in re.findall(r'data-csv="([^"]*)"', made)]
    line = made.split("<tr")[2]
    values = [json.loads(v.replace("&quot;", '"')) for v in re.findall(r'data-v="([^"]*)"', line)]
    assert [len(head) for head in heads] == [len(value) for value in values]
    record = dict(zip(chain(*heads), chain(*values), strict=True))
    assert (record["breadth"], record["depth"], record["seeds"]) == (1, 1, 2)
    assert record["test"] == pytest.approx(0.77) and record["pairs"] == 1000
    assert record["difference"] == pytest.approx(-0.12)
    assert made.count('class="recommended"') == 1


def test_what_is_not_found_is_said(study):
    rows = [{**r, "test": 0.8 + 0.01 * ((3 * r["breadth"] + r["seed"]) % 4)} for r in study]
    found = shown(rows)
    assert "no difference found" in words(table(found, set()))
    assert "No difference found between the best by validation and" in words(verdict(found))


def test_trials_are_listed_with_how_they_ended(study):
    row = {**study[0], "status": "failed", "cause": "memory", "reason": "too large"}
    assert outcome(row) == "failed (memory): too large"
    assert outcome(study[0]) == "finished"
    made = trials(shown([row, *study[1:]]))
    assert len(made) == 6 and sum("failed (memory): too large" in part for part in made) == 1


def test_alike_reasons_are_one_line(study):
    rows = [{**row, "status": "failed", "reason": "too large"} for row in study]
    assert count_failed(shown(rows)) == 12
    assert failures(shown(rows)).count('class="reason"') == 6
    assert failures(shown(study)) is None


CURVE = [[k, 1 / (k + 1), 1 / (k + 1), 0.5 + k / 100] for k in range(40)]


def test_curves_have_a_line_for_each_seed_and_a_dot_where_it_counts(study):
    assert learning_curves(shown(study)) == []
    rows = [{**row, "curve": CURVE, "best_epoch": 39, "val": 0.89} for row in study]
    (made,) = learning_curves(shown(rows))
    assert made.count('class="curve metric"') == made.count('class="dot"') == 12
    assert made.count('class="curve training"') == made.count('class="curve validation"') == 12


def test_hop_mass_is_averaged_over_seeds(study):
    first = [row for row in study if (row["breadth"], row["depth"]) == (1, 1)]
    masses = ([[0.5, 0.5], None], [[0.1, 0.6, 0.3], [1.0]])
    rows = [{**row, "hop_mass": mass} for row, mass in zip(first, masses, strict=True)]
    made = str(hop_mass(shown(rows)))
    assert "hop 0 30 %, hop 1 55 %, hop 2 15 %" in made
    assert "layer 2" in made and "hop 0 100 %" in made
    assert hop_mass(shown(study)) is None


def test_gates_and_radii_are_shown_where_rows_have_them(study):
    assert gates(shown(study)) is None and radii(shown(study)) is None
    gate = {"mean": 0.25, "histogram": [4, 0, 0, 0, 0, 0, 0, 0, 0, 2]}
    rows = [{**study[0], "gate": gate, "radius": [[1.5, 2.0], None]}]
    assert gates(shown(rows)).count('class="column"') == 10
    assert "mean 0.25" in str(gates(shown(rows)))
    assert "|1|1.5, 2|" in words(radii(shown(rows)))
