import subprocess
import sys
from pathlib import Path

import pytest

from gattn.data import NAMES, DatasetError, load
from gattn.data.amazon_coauthor import raw_files as amazon_coauthor_files
from gattn.data.heterophilous import raw_files as heterophilous_files
from gattn.data.own import ENDINGS
from gattn.data.planetoid import SHA256
from gattn.data.planetoid import raw_files as planetoid_files

CARDS = Path(__file__).parents[2] / "datasets"
WITHOUT_FILES = {
    "karate",
    "minesweeper",
    "shell-majority",
    "far-heterophily",
    "dictionary-lookup",
    "tree-neighbors-match",
    "keyed-shell-lookup",
    "max-retrieval",
    "inner-lookup",
    "cluster-lookup",
}


def test_an_unknown_name_lists_the_names():
    with pytest.raises(DatasetError) as caught:
        load("corra")
    said = f"name: found 'corra', expected one of {', '.join(NAMES)}, or a folder, or a file "
    assert str(caught.value) == f"{said}that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def test_an_unknown_option_lists_the_options():
    with pytest.raises(
        DatasetError, match=r"options: found 'sizes' for minesweeper, .* size, seed"
    ):
        load("minesweeper", sizes=3)
    with pytest.raises(DatasetError, match="options: found 'size' for karate, expected none"):
        load("karate", size=3)
    with pytest.raises(
        DatasetError, match=r"options: found 'title' for cora, .* normalize_features"
    ):
        load("cora", title="CiteSeer")


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_FILES))
def test_a_missing_file_is_one_line(name, tmp_path):
    with pytest.raises(DatasetError) as caught:
        load(name, tmp_path / "nowhere", download=False)
    message = str(caught.value)
    assert message.startswith("root: found no ")
    assert "\n" not in message
    assert "/raw/" in message
    assert "published at https://github.com/" in message


@pytest.mark.parametrize("name", sorted(WITHOUT_FILES))
def test_generated_data_needs_no_root(name, tmp_path):
    assert load(name, tmp_path / "nowhere").name == name
    assert not (tmp_path / "nowhere").exists()


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_loading_in_place_writes_nothing(real_data):
    before = snapshot(real_data)
    for name in ("cora", "citeseer", "photo", "chameleon-filtered", "minesweeper-file"):
        assert load(name, real_data, download=False).name == name
    assert snapshot(real_data) == before


def pyg_datasets():
    from torch_geometric import datasets

    for title in ("Cora", "CiteSeer", "PubMed"):
        yield planetoid_files(title), datasets.Planetoid, {"name": title, "split": "public"}
    for title in ("Photo", "Computers"):
        yield amazon_coauthor_files(title), datasets.Amazon, {"name": title.lower()}
    for title in ("CS", "Physics"):
        yield amazon_coauthor_files(title), datasets.Coauthor, {"name": title}
    for stem in ("roman_empire", "amazon_ratings", "minesweeper", "tolokers", "questions"):
        yield heterophilous_files(stem), datasets.HeterophilousGraphDataset, {"name": stem}


def test_files_and_addresses_are_pygs():
    for files, kind, attributes in pyg_datasets():
        dataset = kind.__new__(kind)
        dataset.__dict__.update(root="root", **attributes)
        assert dataset.raw_paths == [f"root/{files.folder}/{name}" for name in files.names]
        assert dataset.url.rstrip("/") == files.url


def test_importing_imports_nothing_optional():
    optional = ("torch_geometric", "matplotlib", "scipy", "networkx", "numba")
    code = f"import sys, gattn.data; print([m for m in {optional} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CARDS.parent, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_dataset_has_a_card(name):
    card = (CARDS / f"{name}.md").read_text()
    assert card.startswith(f"# {name}\n")
    for heading in ("Source", "Licence", "Sizes", "Splits", "Metric"):
        assert f"**{heading}**" in card, heading


def test_the_cards_folder_holds_cards_and_one_small_example():
    kinds = {path.suffix for path in CARDS.glob("*") if path.is_file()}
    assert {path.name for path in CARDS.glob("*") if path.is_dir()} == {"example"}
    assert all(path.stat().st_size < 10_000 for path in (CARDS / "example").iterdir())
    assert kinds == {".md"}
    assert {path.stem for path in CARDS.glob("*.md")} == {*NAMES, "README"}


@pytest.mark.parametrize("title", ["Cora", "CiteSeer"])
def test_cards_tell_the_checksums_that_are_checked(title):
    lines = (CARDS / f"{title.lower()}.md").read_text().splitlines()
    for name, digest in SHA256[title].items():
        assert f"{digest}  {title}/raw/{name}" in lines
