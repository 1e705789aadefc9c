from dataclasses import replace
from pathlib import Path

import pytest

from gattn.data.files import DEFAULT_ROOT, DatasetError, RawFiles, check_sha256, fetch, reading


@pytest.fixture
def published(tmp_path) -> RawFiles:
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("one.txt", "two.txt"):
        (folder / name).write_text(name)
    return RawFiles("Thing/raw", ("one.txt", "two.txt"), folder.as_uri())


def test_downloads_what_is_missing_once(published, tmp_path):
    root = tmp_path / "root"
    folder = fetch(published, root)
    assert folder == root / "Thing/raw"
    assert sorted(path.name for path in folder.iterdir()) == ["one.txt", "two.txt"]
    assert (folder / "two.txt").read_text() == "two.txt"
    gone = replace(published, url=(tmp_path / "gone").as_uri())
    assert fetch(gone, root) == folder


def test_no_root_is_the_users_cache(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert fetch(published) == DEFAULT_ROOT.expanduser() / "Thing/raw"
    assert (tmp_path / "home/.cache/gattn/Thing/raw/one.txt").is_file()


def test_without_a_network_the_error_says_which_files_go_where(published, tmp_path):
    root = tmp_path / "root"
    gone = replace(published, url=(tmp_path / "gone").as_uri())
    with pytest.raises(DatasetError) as caught:
        fetch(gone, root)
    message = str(caught.value)
    assert "\n" not in message
    assert f"found no Thing/raw/one.txt, Thing/raw/two.txt under {root}" in message
    assert f"published at {gone.url}" in message
    assert caught.value.__cause__ is None
    assert not root.exists()


def test_only_missing_files_are_named(published, tmp_path):
    folder = tmp_path / "root/Thing/raw"
    folder.mkdir(parents=True)
    (folder / "one.txt").touch()
    with pytest.raises(DatasetError, match=r"found no Thing/raw/two\.txt under .*download=False"):
        fetch(published, tmp_path / "root", download=False)


def test_a_root_that_is_a_file_is_an_error(published, tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(DatasetError, match="found no Thing/raw/one"):
        fetch(published, tmp_path / "root")


def test_never_writes_into_a_read_only_root(published, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o555)
    with pytest.raises(DatasetError, match="is read-only"):
        fetch(published, root)
    assert list(root.iterdir()) == []


def test_reads_from_a_read_only_root(published, tmp_path):
    folder = fetch(published, tmp_path / "root")
    folder.chmod(0o555)
    assert fetch(published, tmp_path / "root") == folder
    folder.chmod(0o755)


def test_an_unknown_checksum_names_the_file_and_the_way_out(tmp_path):
    (tmp_path / "ind").write_text("content")
    with pytest.raises(
        DatasetError, match=r"ind: found sha256 ed7002.*, expected 00; .*verify=False"
    ):
        check_sha256(tmp_path, {"ind": "00"})


def test_what_a_damaged_file_raises_becomes_one_line():
    with pytest.raises(DatasetError) as caught, reading(Path("Thing/raw")):
        raise ValueError("one\ntwo")
    assert str(caught.value) == (
        "Thing/raw: found a file that does not load (ValueError: one), expected the published file"
    )
