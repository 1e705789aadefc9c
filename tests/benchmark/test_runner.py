"""The runner: rows one by one, nothing timed that disagrees, failures that stop nothing else."""

from itertools import islice

import pytest
import torch

from gattn.benchmark import Plan, run, runner
from gattn.benchmark.passes import PASSES, Model


def outcomes(rows):
    return [(row["provider"], row["pass"], row["measure"], row["status"]) for row in rows]


def test_providers_are_timed_and_divided_by_pyg(measured):
    rows = measured("cora", providers=("pyg", "gattn"))
    assert outcomes(rows) == [
        (provider, passed, "time", "ok")
        for passed in ("forward", "forward+backward")
        for provider in ("pyg", "gattn")
    ]
    pyg, gattn = rows[:2]
    assert gattn["baseline"] == "pyg"
    assert gattn["ratio"] == pytest.approx(gattn["seconds"] / pyg["seconds"])
    assert gattn["ratio_low"] <= gattn["ratio"] <= gattn["ratio_high"]
    assert pyg["baseline"] is None
    assert pyg["ratios"].keys() == {"gattn"}
    assert len(gattn["rounds"]) == 2
    assert (gattn["nodes"], gattn["pairs"], gattn["threads"]) == (60, 240, 1)
    assert len({row["key"] for row in rows}) == 4
    assert len({row["run"] for row in rows}) == 1


def test_without_the_baseline_there_is_no_ratio(measured):
    (row,) = measured("cora", providers=("gattn",), passes=("forward",))
    assert row["ratio"] is None
    assert row["status"] == "ok"


def test_a_star_is_divided_by_the_same_on_a_ring(measured):
    rows = measured("star", providers=("gattn",), layers=("GATConv-4x64",))
    assert [(row["problem"], row["baseline"]) for row in rows] == [
        ("regular", None),
        ("star", "gattn@regular"),
    ]
    assert rows[1]["ratio"] == pytest.approx(rows[1]["seconds"] / rows[0]["seconds"])


def test_who_is_unavailable_says_why_and_the_others_go_on(measured):
    rows = measured(
        "ball",
        providers=("pyg", "gattn:nothing", "gattn:reference"),
        layers=("attend-4x64",),
        passes=("forward",),
    )
    assert outcomes(rows) == [
        ("pyg", "forward", "time", "unavailable"),
        ("gattn:nothing", "forward", "time", "unavailable"),
        ("gattn:reference", "forward", "time", "ok"),
    ]
    assert rows[0]["reason"] == "PyG has no attend"


def test_who_disagrees_is_not_timed(measured, registered, with_forward):
    registered("wrong", with_forward(lambda out: out * 1.01))
    rows = measured("cora", providers=("wrong", "gattn"), passes=("forward",))
    assert outcomes(rows) == [
        ("wrong", "forward", "time", "failed"),
        ("gattn", "forward", "time", "ok"),
    ]
    assert rows[0]["reason"].startswith("not timed, it disagrees with pyg: output differs by 1.0e-")
    assert "seconds" not in rows[0]


def test_wrong_gradients_are_found_too(measured, registered, with_forward):
    # The output is right to the last digit, its gradient is halved.
    registered("wrong", with_forward(lambda out: out.detach() + (out - out.detach()) / 2))
    (row,) = measured("cora", providers=("wrong",), passes=("forward",))
    assert row["status"] == "failed"
    assert "gradient of x differs by 5.0e-01" in row["reason"]
    assert "output differs" not in row["reason"]


@pytest.mark.parametrize("problem", ["full", "causal", "packed", "window"])
@pytest.mark.parametrize("family", ["sdpa", "gattn"])
def test_a_wrong_sequence_is_found(measured, registered, with_forward, family, problem):
    registered("wrong", with_forward(lambda out: out.roll(1, dims=-1)), family)
    # The output is right to the last digit, its gradient is halved.
    registered("halved", with_forward(lambda out: out.detach() + (out - out.detach()) / 2), family)
    rows = measured(problem, providers=("wrong", "halved", "gattn"), layers=("attend-8x64",))
    assert [row["status"] for row in rows] == ["failed"] * 4 + ["ok"] * 2
    assert rows[0]["reason"].startswith("not timed, it disagrees with sdpa: output differs by ")
    for name in ("query", "key", "value"):
        assert f"gradient of {name} differs by 5.0e-01" in rows[2]["reason"]


def test_who_has_no_sequences_says_so(measured):
    rows = measured(
        "full",
        "ball",
        "cora",
        providers=("sdpa", "pyg", "dgl"),
        layers=("attend-8x64", "attend-4x64", "GATConv-8x8"),
        passes=("forward",),
    )
    said = {(row["problem"], row["provider"]): row.get("reason", "") for row in rows}
    assert said["full", "sdpa"] == ""
    assert said["full", "pyg"] == "PyG has no attend"
    assert said["full", "dgl"].startswith("DGL has no equal of attend")
    assert said["ball", "sdpa"] == "torch's attention has no hop bias"
    assert said["cora", "sdpa"] == "torch has no GATConv"


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, MemoryError, ImportError])
def test_who_cannot_be_built_fails_alone(measured, registered, error):
    def fail(model):
        raise error("no more\nof it")

    registered("broken", fail)
    rows = measured("cora", providers=("broken", "gattn"), passes=("forward",))
    assert outcomes(rows)[0] == ("broken", "forward", "time", "failed")
    assert rows[0]["reason"] == "no more"
    assert rows[1]["status"] == "ok"


def test_who_fails_in_one_pass_fails_in_that_alone(measured, registered, with_forward):
    def only_with_gradient(out):
        if not torch.is_grad_enabled():
            raise RuntimeError("inference is not my business")
        return out

    registered("trainer", with_forward(only_with_gradient))
    rows = measured("cora", providers=("pyg", "trainer"))
    assert outcomes(rows) == [
        ("trainer", "forward", "time", "failed"),
        ("pyg", "forward", "time", "ok"),
        ("pyg", "forward+backward", "time", "ok"),
        ("trainer", "forward+backward", "time", "ok"),
    ]


def test_rows_come_as_soon_as_they_are_measured(tiny, monkeypatch):
    timed = []
    monkeypatch.setattr(
        runner,
        "interleave",
        lambda steps, *_: timed.append(list(steps)) or {name: [1.0] for name in steps},
    )
    rows = run(tiny("cora", providers=("pyg",)))
    assert next(rows)["pass"] == "forward"
    assert len(timed) == 1
    assert next(rows)["pass"] == "forward+backward"
    assert len(timed) == 2


def test_memory_is_measured_apart_after_the_times(monkeypatch, measured):
    specs = []

    def apart(spec):
        specs.append(spec)
        if spec.provider == "gattn":
            raise RuntimeError("the process was ended by signal 9")
        return {"peak_bytes": 5, "resident_bytes": 7}

    monkeypatch.setattr(runner, "measure_apart", apart)
    rows = measured("cora", providers=("pyg", "gattn"), passes=("forward",), memory=True, seed=4)
    assert outcomes(rows)[2:] == [
        ("pyg", "forward", "memory", "ok"),
        ("gattn", "forward", "memory", "failed"),
    ]
    assert (rows[2]["peak_bytes"], rows[2]["resident_bytes"]) == (5, 7)
    assert rows[3]["reason"] == "the process was ended by signal 9"
    assert (specs[0].problem, specs[0].layer, specs[0].passed) == ("cora", "GATConv-8x8", "forward")
    assert (specs[0].seed, specs[0].threads, specs[0].quick) == (4, 1, True)


def test_products_runs_alone_with_both_in_one_process(monkeypatch, tiny):
    def apart(spec):
        # The check was on the tiny graph, the measurement is not.
        assert (spec.problem, spec.quick, spec.steps) == ("products", False, 2)
        return {
            "peak_bytes": 5,
            "resident_bytes": 7,
            "rounds": [3.0, 1.0],
            "nodes": 2,
            "pairs": 3,
        }

    monkeypatch.setattr(runner, "measure_apart", apart)
    plan = tiny("products", layers=("GATConv-4x64",), quick=False)
    time, memory = run(plan)
    assert outcomes([time, memory]) == [
        ("gattn", "forward+backward", "time", "ok"),
        ("gattn", "forward+backward", "memory", "ok"),
    ]
    assert (time["seconds"], time["ratio"], time["pairs"]) == (2.0, None, 3)
    assert memory["resident_bytes"] == 7


def test_a_loss_that_is_the_output_has_the_output_as_gradient():
    leaf = torch.tensor([3.0, -2.0], requires_grad=True)
    model = Model(lambda: 2 * leaf, {"leaf": leaf})
    for _ in range(2):  # gradients of an earlier pass do not add up
        out = PASSES["forward+backward"](model)
        assert not out.requires_grad
        torch.testing.assert_close(leaf.grad, 2 * out)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"problems": ("cora", "citeseer")}, "problem: found 'citeseer', expected one of cora, "),
        ({"providers": ("jax",)}, "provider: found 'jax', expected one of pyg, "),
        ({"layers": ("GATConv-4x64",)}, "layer: found 'GATConv-4x64', expected one of GATConv-8x8"),
        ({"passes": ("backward",)}, r"pass: found 'backward', expected one of forward, "),
        ({"rounds": 0}, "rounds: found 0, expected an int >= 1"),
        ({"seed": -1}, "seed: found -1, expected an int >= 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Plan(**{"problems": ("cora",), **given})


def test_the_runner_tells_what_it_does(tiny):
    said = []
    list(islice(run(tiny("cora", providers=("pyg",), passes=("forward",)), said.append), 1))
    assert said == [
        "cora GATConv-8x8: checking that the providers agree",
        "cora GATConv-8x8 forward: timing pyg",
    ]
