"""The example of a graph of one's own: its files are what its recipe makes."""

import re
from pathlib import Path

from gattn.compare.report import describe
from gattn.data import load

FOLDER = Path(__file__).parents[3] / "datasets" / "example"


def test_the_files_are_what_the_recipe_makes():
    recipe = re.search(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)[1]
    made = {}
    exec(recipe, made)
    assert (FOLDER / "nodes.csv").read_text() == made["nodes_csv"]
    assert (FOLDER / "edges.csv").read_text() == made["edges_csv"]


def test_it_is_as_its_page_says():
    task = load(str(FOLDER), label="guild")
    assert (task.num_nodes, task.num_classes, task.x.size(1)) == (90, 3, 4)
    in_a_split = (task.train_mask | task.val_mask | task.test_mask)[:, 0]
    assert in_a_split.sum() == 84
    assert not in_a_split[84:].any()
    assert task.labelled is not None and task.labelled.tolist() == in_a_split.tolist()
    assert describe(task)["classes"] == "3 (28, 28, 28 nodes)"
    assert task.to("cpu").notes == task.notes
