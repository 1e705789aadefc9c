"""The backward: many hand-overs, numeric derivatives, derivatives of derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import gattn
from gattn import normalizers, testing
from gattn.ops import cpu
from gattn.ops.cpu import gradients
from gattn.ops.cpu.segments import planned
from gattn.testing import check_backend, check_statistic
from tests.ops.cpu.subsets import STORED, keep_cases, main
from tests.ops.cpu.test_segments import NODES, hub_edges


@pytest.fixture
def hub(monkeypatch):
    graph = gattn.from_edge_index(hub_edges(), NODES)
    monkeypatch.setattr(testing, "graphs", lambda *hub: {"hub": graph})
    return graph


@pytest.mark.parametrize("most", [1, 1000, 7001])
def test_several_hand_overs_agree_with_the_reference(most, hub, monkeypatch):
    one = gradients.blocks(planned(hub.rowptr.numpy()), 3, 10**9)
    monkeypatch.setattr(gradients, "_MOST_HANDED", most)
    monkeypatch.setattr(gradients, "_LEAST_HANDED", most)
    several = gradients.blocks(planned(hub.rowptr.numpy()), 3, 10**9)
    assert len(one) == 1 < len(several)
    kept = keep_cases(
        monkeypatch,
        lambda form, normalizer, graph: (
            main(form, normalizer, graph)
            or (normalizer == "Sparsemax()" and form == "Multiplicative, all options")
            or (normalizer == "Softmax()" and form == "Additive, all options")
        ),
    )
    assert check_backend("cpu", dtype=torch.float64) == kept == 11


@pytest.mark.parametrize("most", [0, 1, 5, 500, 10**9])
@pytest.mark.parametrize("sizes", [[], [0, 0], [3], [5000], [1] * 4000, [700, 0, 5] * 40])
def test_blocks_cover_every_task_once_and_in_order(sizes, most, monkeypatch):
    monkeypatch.setattr(gradients, "_MOST_HANDED", most)
    monkeypatch.setattr(gradients, "_LEAST_HANDED", most)
    rowptr = torch.tensor([0, *sizes]).cumsum(0).numpy()
    plan = planned(rowptr)
    found = gradients.blocks(plan, 2, 0)
    assert [task for block in found for task in block] == list(range(plan.num_tasks))
    starts = plan.first_pairs()
    for block in found:
        pairs = starts[block.stop] - starts[block.start]
        assert len(block) == 1 or 4 * pairs <= most


def checked(name):
    """The function of a case's leaves, and the leaves away from ties and kinks."""
    (case,) = [case for case in testing.cases() if case.name == name]
    draw = torch.Generator().manual_seed(5)
    leaves = {
        key: (leaf + 0.01 * torch.randn(leaf.shape, generator=draw)).requires_grad_()
        for key, leaf in case.leaves.items()
    }

    def run(*values):
        out, statistic = cpu.forward(case.build(dict(zip(leaves, values, strict=True))))
        return out if statistic is None else (out, statistic[torch.isfinite(statistic)])

    return run, list(leaves.values())


@pytest.mark.parametrize("graph", ["duplicates", "bipartite"])
@pytest.mark.parametrize("normalizer", ["Softmax()", "Sigmoid()", "TopK(k=2)", "Sparsemax()"])
@pytest.mark.parametrize(
    "form",
    [
        "Multiplicative",
        "Multiplicative, all options",
        "Additive, value=None",
        "Additive, all options",
    ],
)
def test_first_and_second_derivatives_are_right(form, normalizer, graph):
    assert graph in STORED
    run, leaves = checked(f"{form}, {normalizer}, {graph}")
    assert gradcheck(run, leaves, fast_mode=True)
    assert gradgradcheck(run, leaves, fast_mode=True)


def test_every_single_derivative_is_right():
    run, leaves = checked("Multiplicative, all options, Softmax(), bipartite")
    assert gradcheck(run, leaves)


@pytest.mark.parametrize("normalizer", [normalizers.Softmax(), normalizers.TopK(3)], ids=str)
def test_the_statistic_has_its_gradient(normalizer):
    check_statistic(normalizer)


@pytest.mark.parametrize("normalizer", [normalizers.Softmax(), normalizers.Sigmoid()], ids=str)
def test_the_same_tensor_in_every_place_has_the_sum_of_all_gradients(normalizer):
    graph = testing.graphs()["duplicates"]
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(8, 2, 3, generator=draw, dtype=torch.float64, requires_grad=True)

    def run(x):
        return gattn.attend(x, x, x, graph, normalizer=normalizer, backend="cpu")

    def on_the_right(x):
        return gattn.attend(x, x, None, graph, normalizer=normalizer, backend="cpu")

    for function in (run, on_the_right):
        assert gradcheck(function, (x,))
        assert gradgradcheck(function, (x,))


def test_third_derivatives_exist():
    graph = testing.graphs()["duplicates"]
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(8, 1, 2, generator=draw, dtype=torch.float64, requires_grad=True)

    def slope(x):
        out = gattn.attend(x, x, x, graph, backend="cpu")
        return torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)[0]

    assert gradgradcheck(slope, (x,), fast_mode=True)
