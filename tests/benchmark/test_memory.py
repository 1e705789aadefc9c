"""A peak counts what a pass takes beside what was there, in this process and in a fresh one."""

import json
import subprocess

import pytest
import torch

from gattn.benchmark.memory import MARK, Spec, main, measure, measure_apart
from gattn.benchmark.passes import Model

MB = 10**6
SPEC = Spec("cora", "GATConv-8x8", "forward", "pyg", 0, "cpu", 1, True)


@pytest.fixture
def hog(registered):
    """A provider that was built with 30 MB, and needs 60 MB for a moment in each pass."""

    def change(model):
        kept = torch.ones(30 * MB // 4)

        def forward():
            return model.forward() + (torch.ones(60 * MB // 4).sum() - 15 * MB) * kept[0]

        return Model(forward, model.leaves)

    registered("hog", change)


def test_a_peak_is_above_what_was_there(hog):
    found = measure(Spec("cora", "GATConv-8x8", "forward", "hog", 0, "cpu", 1, True, steps=3))
    # A resident set is exact up to some pages that the allocator had kept.
    assert 59 * MB <= found["peak_bytes"] < 70 * MB
    assert found["resident_bytes"] > found["peak_bytes"] + 30 * MB
    assert len(found["rounds"]) == 3
    assert all(seconds > 0 for seconds in found["rounds"])
    assert (found["nodes"], found["pairs"]) == (60, 240)


@pytest.mark.parametrize("name", ["sdpa", "gattn"])
def test_a_sequence_is_measured(name):
    found = measure(Spec("packed", "attend-8x64", "forward+backward", name, 0, "cpu", 1, True))
    assert 0 <= found["peak_bytes"] < 20 * MB
    assert (found["nodes"], found["pairs"]) == (45, 495)


def test_a_fresh_process_measures(monkeypatch):
    threads, real = [], subprocess.run

    def spy(command, **options):
        threads.append(options["env"]["OMP_NUM_THREADS"])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", spy)
    found = measure_apart(SPEC)
    assert threads == ["1"]
    # An output of 60 x 64 floats is 15 kB; importing torch and PyG would be hundreds of MB.
    assert 0 <= found["peak_bytes"] < 20 * MB
    assert found["resident_bytes"] > 50 * MB
    assert found["pairs"] == 240


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (-9, "", "the process was ended by signal 9"),
        (1, "Traceback\nValueError: backend: found 'x'", "ValueError: backend: found 'x'"),
        (3, "", "the process ended with exit code 3"),
        (0, "nothing measured", "nothing measured"),
    ],
)
def test_a_process_that_fails_says_why(monkeypatch, code, said, reason):
    done = subprocess.CompletedProcess([], code, stdout="", stderr=said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(RuntimeError, match=reason):
        measure_apart(SPEC)


def test_what_the_process_prints_can_be_read(monkeypatch, capsys):
    monkeypatch.setattr("gattn.benchmark.memory.measure", lambda spec: {"seed": spec.seed})
    main([json.dumps(SPEC.__dict__)])
    printed = capsys.readouterr().out
    assert printed == MARK + '{"seed": 0}\n'
    done = subprocess.CompletedProcess([], 0, stdout="a library speaks\n" + printed, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert measure_apart(SPEC) == {"seed": 0}


def test_a_compiled_layer_warms_up_on_the_inputs_themselves(monkeypatch):
    sizes = []
    monkeypatch.setattr("shutil.which", lambda name: name)

    def compiled(conv, **_):
        def call(x, edge_index):
            sizes.append(x.shape[0])
            return conv(x, edge_index)

        return call

    monkeypatch.setattr("torch.compile", compiled)
    measure(Spec("star", "GATConv-4x64", "forward", "pyg-compile", 0, "cpu", 1, True))
    assert sizes == [41, 41]
