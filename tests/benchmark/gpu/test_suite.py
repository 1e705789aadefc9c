"""The tests of a run are a row: how many passed, and what is wrong."""

import pytest

from gattn.benchmark.gpu import suite
from gattn.benchmark.gpu.suite import LOG, run_tests


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(suite, "_parallel", lambda: ())


def test_what_pytest_says_is_kept(tmp_path):
    (tmp_path / "test_two.py").write_text(
        "def test_right(): pass\ndef test_wrong(): assert 1 == 2\n"
    )
    row = run_tests(tmp_path, 120, ("-p", "no:cacheprovider", str(tmp_path / "test_two.py")))
    assert row["status"] == "failed"
    assert row["counts"] == {"failed": 1, "passed": 1}
    assert row["reason"].startswith("pytest ended with 1: 1 failed, 1 passed in ")
    assert "assert 1 == 2" in (tmp_path / LOG).read_text()


def test_none_is_no_success(tmp_path):
    (tmp_path / "test_none.py").write_text("")
    row = run_tests(tmp_path, 120, ("-p", "no:cacheprovider", str(tmp_path / "test_none.py")))
    assert (row["status"], row["reason"]) == ("failed", "no test is marked gpu")


def test_they_are_stopped_in_time(tmp_path):
    (tmp_path / "test_long.py").write_text("import time\ndef test(): time.sleep(60)\n")
    row = run_tests(tmp_path, 1.0, ("-p", "no:cacheprovider", str(tmp_path / "test_long.py")))
    assert (row["status"], row["reason"]) == ("failed", "stopped after 1 s")
    assert row["seconds"] < 20


def test_a_run_in_which_no_test_ran_is_not_called_ok():
    row = suite._row(0, "===== 3 skipped in 1.00s =====", 1.0, 5.0)
    assert (row["status"], row["reason"]) == ("skipped", "every test was skipped")
    assert suite._row(0, "1 passed, 3 skipped in 1.00s", 1.0, 5.0)["status"] == "ok"
