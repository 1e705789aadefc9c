"""Edge lists and tables of nodes: what they may look like, and how a bad line is named."""

import pytest
import torch

from gattn.data import DatasetError, load

NODES = "id,label,age\na,red,1\nb,blue,2\nc,red,3\nd,blue,4\n"
EDGES = "a,b\nb,c\nc,d\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "edges.csv").write_text(EDGES)
    return tmp_path


def read(folder, **options):
    return load(str(folder), **{"num_splits": 1, "train": 0.4, "val": 0.3, **options})


@pytest.fixture(autouse=True)
def any_splits(monkeypatch):
    """Four nodes are too few to be split in three: here the splits do not matter."""
    from gattn.data.own import building

    monkeypatch.setattr(building, "checked", lambda graph, masks, labelled: (masks, []))


@pytest.mark.parametrize(
    "edges",
    [
        EDGES,
        "source,target\n" + EDGES,
        "# SNAP writes comments\n# From\tTo\na\tb\nb\tc\nc\td\n",
        "a b\n\nb   c\nc d\n",
        "a;b\nb;c\nc;d\n",
        'target,weight,source\nb,1,a\n"c",2,"b"\nd,3,c\n',
        "one,other\n" + EDGES,
        "\ufeffa,b\r\nb,c\r\nc,d\r\n",
        "% a comment of the matrix market\na,b\nb,c\nc,d",
    ],
)
def test_ways_to_write_an_edge_list(folder, edges):
    (folder / "edges.csv").write_text(edges, encoding="utf-8", newline="")
    task = read(folder)
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]
    assert list(map(tuple, task.edge_index.t().tolist())) == pairs
    assert task.y.tolist() == [1, 0, 1, 0]
    assert any("classes of label, in this order: blue, red" in note for note in task.notes)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt", ".edges", ".edgelist"])
def test_a_list_of_any_ending_names_its_table(folder, ending):
    path = folder / f"graph{ending}"
    path.write_text(EDGES)
    assert read(path, nodes="nodes.csv").num_nodes == 4
    with pytest.raises(DatasetError, match="found edges alone, expected nodes=FILE, a table with"):
        read(path)
    with pytest.raises(DatasetError, match=r"nodes: found nothing at .*people\.csv"):
        read(path, nodes="people.csv")


def test_directions_are_kept_if_told(folder):
    (folder / "edges.csv").write_text("a,b\na,b\nb,a\n")
    task = read(folder, undirected=False)
    assert task.edge_index.tolist() == [[0, 1], [1, 0]]
    assert "1 repeated edges are left out" in task.notes
    assert read(folder).edge_index.tolist() == [[0, 1], [1, 0]]


def test_names_are_numbers_or_text(folder):
    (folder / "nodes.csv").write_text("node,y\n10,0\n7,1\n8,0\n")
    (folder / "edges.csv").write_text("10 7\n7 8\n")
    assert read(folder, undirected=False).edge_index.tolist() == [[0, 1], [1, 2]]


def test_columns_of_text_become_one_column_per_value(folder):
    (folder / "nodes.csv").write_text("id,y,size,pet\na,0,1.5,cat\nb,1,-2,dog\nc,0,0,\nd,1,3,cat\n")
    task = read(folder)
    assert task.x.tolist() == [[1.5, 1, 0], [-2, 0, 1], [0, 0, 0], [3, 1, 0]]
    assert "columns of text as one column per value: pet (2)" in task.notes
    assert read(folder, drop="pet").x.size(1) == 1


def test_without_features_there_are_degrees(folder):
    task = read(folder, drop="age")
    assert task.x.argmax(dim=1).tolist() == [1, 2, 2, 1]
    assert any(note.startswith("no features") for note in task.notes)


def test_a_column_of_splits(folder):
    parts = "id,y,split\na,0,train\nb,1,Valid\nc,0,test\nd,1,\n"
    (folder / "nodes.csv").write_text(parts)
    task = load(str(folder))
    assert task.train_mask[:, 0].tolist() == [True, False, False, False]
    assert task.test_mask[:, 0].tolist() == [False, False, True, False]
    (folder / "nodes.csv").write_text(parts.replace("split", "part"))
    assert torch.equal(load(str(folder), split="part").val_mask, task.val_mask)
    with pytest.raises(DatasetError, match="split: found 'portion', expected one of part"):
        load(str(folder), split="portion")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("", r"nodes\.csv: found the columns none, expected a header"),
        ("id\na\n", r"nodes\.csv: found the columns id, expected a header: id, label, features"),
        ("id,label\n", r"nodes\.csv: found a header alone, expected a line for each node"),
        ("id,y,y\na,1,1\n", r"nodes\.csv: found the column 'y' twice"),
        ("id,y,\na,1,1\n", r"nodes\.csv: found a column without a name"),
        ("id,y\na,1\nb\n", r"nodes\.csv line 3: found 1 cells, expected 2, as the header"),
        ("id,y\na,1\na,2\n", r"nodes\.csv line 3: id: found 'a' again, expected a name of its"),
        ("id,y\na,1\n,2\n", r"nodes\.csv line 3: id: found '', expected a name of its own"),
        ("id,z\na,1\nb,2\n", r"nodes\.csv: found the columns z, expected a column y, class, tar"),
        ("id,y,a\na,0,1\nb,1,\n", r"nodes\.csv line 3: a: found '', expected a finite number"),
        ("id,y,a\na,0,inf\nb,1,1\n", r"nodes\.csv line 2: a: found 'inf', expected a finite"),
        ("id,y,a\na,0,1\nb,1,nan\n", r"nodes\.csv line 3: a: found 'nan', expected a finite"),
        ("id,y,a\na,0,1\nb,1,1e99\n", r"nodes\.csv line 3: a: found '1e99', expected a finite"),
        ("id,y,split\na,0,train\nb,1,tset\n", r"nodes\.csv line 3: split: found 'tset', expect"),
        ("id,y\na,0.5\nb,1.5\n", r"nodes\.csv: y: found the label 0\.5, expected classes"),
        ("id,y\na,0\nb,0\n", r"nodes\.csv: y: found 1 classes \(0\), expected at least 2"),
        ('id,y\na,"0\nb,1\n', r"nodes\.csv: found a file that does not load \(Error: "),
    ],
)
def test_a_bad_table_is_named_with_its_line(folder, nodes, message):
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text("a,b\n")
    with pytest.raises(DatasetError, match=message) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ("a,b\nb,e\n", r"edges\.csv line 2: found the node 'e', expected a node of the table"),
        ("a,b\nb\n", r"edges\.csv line 2: found 1 cells, expected 2, as the first line"),
        ("a\n", r"edges\.csv line 1: found 1 cells, expected two names of nodes"),
        ("a,b\nb,c,d\n", r"edges\.csv line 2: found 3 cells, expected 2"),
        ("here,there,what\na,b,c\n", r"edges\.csv: found the columns here, there, what, expected "),
    ],
)
def test_a_bad_edge_is_named_with_its_line(folder, edges, message):
    (folder / "edges.csv").write_text(edges)
    with pytest.raises(DatasetError, match=message):
        read(folder)


def test_a_graph_without_edges_is_a_graph(folder):
    (folder / "edges.csv").write_text("")
    task = read(folder)
    assert task.edge_index.shape == (2, 0)
    assert "edges.csv has no edges" in task.notes


def test_long_texts_are_not_one_hot(tmp_path):
    lines = [f"n{n},{n % 2},{n},biography {n}" for n in range(60)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,y,age,about", *lines]))
    (tmp_path / "edges.csv").write_text("n1,n2\n")
    with pytest.raises(
        DatasetError, match=r"about: found 60 distinct texts \(such as 'biography 0"
    ):
        read(tmp_path)
    assert read(tmp_path, drop="about").x.size(1) == 1


def test_a_mistyped_number_among_many_is_shown(tmp_path):
    lines = [f"n{n},{n % 2},{n if n != 33 else '33 years'}" for n in range(60)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,y,age", *lines]))
    (tmp_path / "edges.csv").write_text("n1,n2\n")
    with pytest.raises(DatasetError, match=r"age: found 60 distinct texts \(such as '33 years'\)"):
        read(tmp_path)


def test_a_folder_without_tables_lists_what_it_has(tmp_path):
    (tmp_path / "graph.dat").touch()
    with pytest.raises(DatasetError, match=r"found graph\.dat, expected one edges\.csv \(or \.tsv"):
        load(str(tmp_path))


def test_text_that_is_no_text_is_one_line(folder):
    (folder / "nodes.csv").write_bytes(NODES.encode("utf-16"))
    with pytest.raises(
        DatasetError, match=r"nodes\.csv: found a file that does not load \(Unicode"
    ):
        read(folder)
