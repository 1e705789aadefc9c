"""Two processes have the losses, the gradients and the parameters of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from gattn.train.distributed import World, device_of
from tests.train.in_processes import train

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch is built without gloo"
)


def torchrun(*arguments):
    """Two processes by torchrun, on a port that is free."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "--nproc-per-node", "2", *map(str, arguments)],
        env={**os.environ, **threads},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(("batch_size", "dropout"), [(0, 0.3), (16, 0.0)])
def test_two_processes_train_as_one(tmp_path, batch_size, dropout):
    """With dropout, too, in the whole graph, where all drop the same."""
    expected = train(batch_size or None, dropout)
    script = Path(__file__).with_name("in_processes.py")
    done = torchrun(script, tmp_path / "out", batch_size, dropout)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "out", weights_only=True)
    torch.testing.assert_close(found["losses"], expected["losses"], rtol=1e-10, atol=0)
    torch.testing.assert_close(found["model"], expected["model"], rtol=1e-9, atol=1e-11)
    assert found["metrics"] == pytest.approx(expected["metrics"])
    assert found["model"]["priced"] < 1
    assert torch.load(tmp_path / "out.checkpoint", weights_only=True)["identity"]["processes"] == 2


def test_one_that_fails_ends_all_with_one_line(tmp_path):
    done = torchrun(Path(__file__).with_name("in_processes.py"), tmp_path / "out")
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert ours == ["error: process 1 of 2: out of something"]


def test_the_command_line_in_two_processes(tmp_path):
    board = ["--dataset", "minesweeper", "--option", "size=8", "--breadth", "2", "--epochs", "3"]
    board += ["--layers", "1", "--seeds", "2", "--batch-size", "8"]
    places = ["--out", tmp_path, "--checkpoints", tmp_path / "checkpoints"]
    done = torchrun("-m", "gattn.train", *board, *places)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test: mean") <= 1
    rows = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert [(row["status"], row["seed"]) for row in rows] == [("ok", 0), ("ok", 1)]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_what_cannot_be_meant_is_said_once(tmp_path):
    done = torchrun("-m", "gattn.train", "--dataset", "coral")
    assert done.returncode != 0
    assert done.stderr.count("error: dataset: found 'coral'") == 1


def test_without_torchrun_it_is_the_command(tmp_path):
    command = [sys.executable, "-m", "gattn.train", "--dataset", "karate", "--epochs", "0"]
    clean = {k: v for k, v in os.environ.items() if k not in ("WORLD_SIZE", "RANK")}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "error: epochs: found 0, expected an int >= 1\n"


@pytest.mark.parametrize(("nodes", "size"), [(7, 2), (8, 4), (1, 3)])
def test_weighted_means_of_shares_are_the_mean(nodes, size):
    values = torch.arange(nodes).double().square()
    worlds = [World(rank, size) for rank in range(size)]
    parts = [w.weight(len(w.share(values)), nodes) * w.share(values).mean() for w in worlds]
    assert sum(parts) / size == pytest.approx(values.mean())


def test_one_process_needs_nobody():
    assert World.here() == World(0, 1)
    assert World().of_first(1.5) == 1.5
    assert World().by_first(lambda: 3) == 3
    assert device_of("cuda") == "cuda"
