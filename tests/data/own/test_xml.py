"""GraphML and GEXF: attributes, directions, and what an XML file may not bring along."""

import networkx as nx
import pytest

from gattn.data import DatasetError, load

WRITERS = {"graph.graphml": nx.write_graphml, "graph.gexf": nx.write_gexf}


@pytest.fixture(params=WRITERS)
def path(request, tmp_path):
    return tmp_path / request.param


def write(path, graph):
    WRITERS[path.name](graph, path)
    return str(path)


def club(kind=nx.Graph):
    return kind(nx.karate_club_graph())


def test_a_graph_of_networkx_comes_back(path):
    task = load(write(path, club()), label="club", metric="roc_auc")
    assert (task.num_nodes, task.edge_index.size(1), task.num_classes) == (34, 2 * 78, 2)
    assert task.y[0] == 0
    assert task.metric == "roc_auc"
    assert "not used: attributes of edges" in task.notes
    assert "classes of club, in this order: Mr. Hi, Officer" in task.notes


def test_directions_are_those_of_the_file(path):
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")])
    nx.set_node_attributes(graph, {n: n in "ace" for n in graph}, "y")
    task = load(write(path, graph), num_splits=1, train=0.4, val=0.3)
    assert task.edge_index.tolist() == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]


def test_numbers_and_texts_are_features(path):
    graph = club(nx.Graph)
    for node, values in graph.nodes(data=True):
        values |= {"age": node / 2, "kind": "ab"[node % 2], "old": node > 9}
    task = load(write(path, graph), label="club")
    assert task.x[3].tolist() == [1.5, 0.0, 1.0, 0.0]
    assert load(write(path, graph), label="club", drop="age, kind").x.size(1) == 1
    with pytest.raises(DatasetError, match="drop: found 'size', expected one of"):
        load(str(path), label="club", drop="size")


def test_a_missing_value_names_its_node(path):
    graph = club()
    for node, values in graph.nodes(data=True):
        values |= {"age": node} if node != 5 else {}
    with pytest.raises(DatasetError, match="node '5': age: found '', expected a finite number"):
        load(write(path, graph), label="club")


def test_a_label_that_is_not_there_lists_what_is(path):
    with pytest.raises(DatasetError, match=r"label: found 'tribe', expected one of .*club"):
        load(write(path, club()), label="tribe")


def test_names_are_no_classes(tmp_path):
    graph = club()
    nx.write_gexf(graph, tmp_path / "g.gexf")
    with pytest.raises(DatasetError, match="found a label of its own for each of 34 nodes"):
        load(str(tmp_path / "g.gexf"))


def test_nodes_without_a_label_are_in_no_split(path):
    graph = club()
    del graph.nodes[7]["club"]
    task = load(write(path, graph), label="club")
    assert "1 nodes have no label and are in no split" in task.notes
    assert not (task.train_mask | task.val_mask | task.test_mask)[7].any()


BOMB = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<graphml><graph><node id="&b;"/></graph></graphml>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_grow(path, encoding):
    path.write_text(BOMB.format(encoding=encoding), encoding=encoding)
    with pytest.raises(
        DatasetError, match=r"line 2: found a DOCTYPE, expected none \(entities are"
    ):
        load(str(path))


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<graphml>", "<html></html>", "<graphml></graphml>", "<gexf/>"],
)
def test_what_is_no_graph_is_one_line(path, text):
    path.write_text(text)
    with pytest.raises(DatasetError) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
