"""The compiled CPU backend against the reference: results, gradients, refusals."""

from types import SimpleNamespace

import pytest
import torch

import gattn
from gattn import forms, normalizers, testing
from gattn.ops import cpu, dispatch, reference
from gattn.testing import check_backend
from tests.ops.cpu.subsets import STORED, keep_cases, main, most

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
HUGE = 80.0  # scores grow with the square of the inputs: they reach 3e4

EDGES = torch.tensor([[0, 1, 2, 3, 3, 1, 1], [1, 1, 0, 2, 2, 3, 3]])  # two duplicates, one loop
GRAPH = gattn.from_edge_index(EDGES, 5)  # node 4 has no pairs
FUSED = [normalizers.Softmax(), normalizers.Sigmoid(), normalizers.TopK(2), normalizers.Hard()]


def draw(*size, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture
def in_halves(monkeypatch):
    module = SimpleNamespace(reasons=cpu.reasons, forward=cpu.halves)
    monkeypatch.setattr(dispatch, "load", lambda name: module)


def kept(monkeypatch, dtype):
    count = keep_cases(monkeypatch, most if dtype == torch.float64 else main)
    assert count == (158 if dtype == torch.float64 else 54)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_fused_operator_agrees_with_the_reference(dtype, monkeypatch):
    count = kept(monkeypatch, dtype)
    assert check_backend("cpu", dtype=dtype) == count


@pytest.mark.slow
def test_the_halves_agree_with_the_reference(in_halves, monkeypatch):
    count = keep_cases(monkeypatch, lambda *case: most(*case) and case[2] in STORED)
    assert check_backend("halves", dtype=torch.float64) == count == 144


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_the_halves_agree_with_the_reference_in_lower_precision(dtype, in_halves, monkeypatch):
    count = keep_cases(
        monkeypatch,
        lambda form, _, graph: form == "Multiplicative" and graph in STORED,
    )
    assert check_backend("halves", dtype=dtype) == count == 36


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_scores_up_to_3e4_agree_with_the_reference(dtype, monkeypatch):
    kept(monkeypatch, dtype)
    # A sigmoid of -87.5 is below the normal numbers of single precision, and 0 for the backend.
    double = dtype == torch.float64
    count = keep_cases(monkeypatch, lambda form, normalizer, _: double or normalizer != "Sigmoid()")
    assert largest_score() > 3e4
    assert check_backend("cpu", dtype=dtype, scale=HUGE) == count


def test_the_sigmoid_of_scores_up_to_3e4_is_that_of_the_reference_in_single_precision(monkeypatch):
    kept(monkeypatch, torch.float32)
    assert keep_cases(monkeypatch, lambda form, normalizer, _: normalizer == "Sigmoid()") == 12
    for case in testing.cases(HUGE):
        found, expected = (case.run(module, torch.float32) for module in (cpu, reference))
        torch.testing.assert_close(found, expected, atol=1e-30, rtol=1e-4)


def largest_score():
    scores = [reference.scores(case.build(case.leaves)) for case in testing.cases(HUGE)]
    return max(float(score[torch.isfinite(score)].abs().max()) for score in scores if score.numel())


def test_the_halves_agree_with_the_reference_on_scores_up_to_3e4(in_halves, monkeypatch):
    count = keep_cases(monkeypatch, lambda *case: most(*case) and case[2] in STORED)
    assert check_backend("halves", dtype=torch.float64, scale=HUGE) == count


def test_scores_and_weights_are_those_of_the_reference_in_the_order_of_the_edges(monkeypatch):
    assert keep_cases(monkeypatch, lambda *case: most(*case) and case[2] in STORED) == 144
    for case in testing.cases():
        problem = case.build(case.leaves)
        torch.testing.assert_close(cpu.weights(problem), reference.weights(problem))


@pytest.mark.parametrize("name", ["no pairs", "duplicates", "two hops", "rings", "window"])
@pytest.mark.parametrize("normalizer", FUSED, ids=str)
def test_attention_weights_are_those_that_attend_uses(name, normalizer):
    graph = testing.graphs()[name]
    query, key = draw(graph.num_targets, 3, 4), draw(graph.num_sources, 3, 4, seed=1)
    found = gattn.attention_weights(query, key, graph, normalizer=normalizer)
    # One-hot values: the output is the weights themselves, summed over duplicates.
    one_hot = torch.eye(graph.num_sources).double()[:, None].expand(-1, 3, -1)
    out = gattn.attend(query, key, one_hot, graph, normalizer=normalizer, backend="cpu")
    stored = graph.expand() if isinstance(graph, gattn.Span) else graph
    pairs = reference.Pairs.of(stored)
    expected = torch.zeros_like(out).permute(0, 2, 1)
    expected.index_put_((pairs.rows.index, pairs.source), pairs.in_row_order(found), True)
    torch.testing.assert_close(out, expected.permute(0, 2, 1))


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("normalizer", FUSED, ids=str)
def test_finite_scores_never_give_nan(dtype, normalizer):
    largest = float(torch.finfo(dtype).max) / 4
    leaves = [draw(5, 2, 4, seed=s, dtype=dtype).requires_grad_() for s in (1, 2, 3)]
    bias = (torch.tensor([1.0, -1, 1, -1, 1, -1, -1], dtype=dtype) * largest).requires_grad_()
    for graph in (GRAPH, testing.graphs()["hub"]):
        sides = [leaf[:1].expand(graph.num_targets, -1, -1) for leaf in leaves]
        pair_bias = bias[torch.arange(graph.num_pairs) % 7]
        out = gattn.attend(*sides, graph, normalizer=normalizer, pair_bias=pair_bias, backend="cpu")
        grads = torch.autograd.grad(out.square().sum(), [*leaves, bias])
        assert all(torch.isfinite(tensor).all() for tensor in (out, *grads))


@pytest.mark.parametrize("normalizer", [*FUSED, normalizers.Sparsemax()], ids=str)
def test_a_masked_row_gives_zero_and_zero_gradients(normalizer):
    leaves = [draw(5, 2, 4, seed=s).requires_grad_() for s in (1, 2, 3)]
    bias = torch.where(EDGES[1] == 2, float("-inf"), 0.0).double()  # the whole of row 2
    out = gattn.attend(*leaves, GRAPH, normalizer=normalizer, pair_bias=bias, backend="cpu")
    assert (out[[2, 4]] == 0).all() and (out[[0, 1, 3]] != 0).any()
    upstream = torch.zeros_like(out)
    upstream[2] = 1.0
    for grad in torch.autograd.grad(out, leaves, upstream):
        assert (grad == 0).all()


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("where", ["query", "key", "value", "pair_bias"])
def test_nan_comes_out_where_the_reference_has_it(dtype, where):
    hub = torch.stack([torch.arange(5).repeat(300), torch.full((1500,), 2)])
    graph = gattn.from_edge_index(torch.cat([EDGES, hub], 1), 5)
    sides = {"query": 1, "key": 2, "value": 3}
    given = {name: draw(5, 2, 4, seed=s, dtype=dtype) for name, s in sides.items()}
    given["pair_bias"] = draw(graph.num_pairs, seed=4, dtype=dtype)
    given[where][3] = float("nan")  # the pair 3 -> 2
    found, expected = (with_gradients(given, graph, name) for name in ("cpu", "reference"))
    assert torch.equal(found[0].isnan(), expected[0].isnan()) and found[0].isnan().any()
    assert not found[0].isnan().all()
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert (ours.isnan() | ~theirs.isnan()).all()


def with_gradients(given, graph, backend, **options):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in given.items()}
    out = gattn.attend(neighborhood=graph, backend=backend, **leaves, **options)
    return out, *torch.autograd.grad(out.square().sum(), list(leaves.values()))


def test_a_score_of_the_users_goes_in_halves():
    sides = draw(5, 2, 3), draw(5, 2, 3)
    form = forms.Given(*sides, lambda q, k, hop: (q * k).sum(-1))
    found = gattn.attend_form(form, None, GRAPH, backend="cpu")
    expected = gattn.attend_form(forms.Multiplicative(*sides), None, GRAPH, backend="reference")
    torch.testing.assert_close(found, expected)


def test_what_it_cannot_compute_it_says():
    far = [torch.empty(5, 2, 3, device="meta")] * 3
    told = gattn.backend_reasons(*far, GRAPH.to("meta"))
    assert told["cpu"] == ["the device is meta, not cpu"]


def attended(query):
    return gattn.attend(query, query, query, GRAPH)


def compiled(query):
    return gattn.attend(query, query, query, GRAPH, backend="cpu")


def test_functional_transforms_are_left_to_the_reference():
    query = draw(5, 2, 3)
    leaf = query.clone().requires_grad_()
    (expected,) = torch.autograd.grad(compiled(leaf).sum(), leaf)
    torch.testing.assert_close(torch.func.grad(lambda q: attended(q).sum())(query), expected)
    several = torch.stack([query, 2 * query])
    together = torch.func.vmap(attended)(several)
    torch.testing.assert_close(together, torch.stack([compiled(q) for q in several]))
    step = 1e-6
    slope = torch.func.jvp(attended, (query,), (torch.ones_like(query),))[1]
    numeric = (compiled(query + step) - compiled(query - step)) / (2 * step)
    torch.testing.assert_close(slope, numeric, atol=1e-7, rtol=1e-6)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(query, torch.ones_like(query))
        found = torch.autograd.forward_ad.unpack_dual(attended(dual)).tangent
    torch.testing.assert_close(found, slope)


@pytest.mark.parametrize(
    "transformed",
    [
        lambda q: torch.func.grad(lambda q: compiled(q).sum())(q),
        lambda q: torch.func.vmap(compiled)(torch.stack([q, q])),
        lambda q: torch.func.jvp(compiled, (q,), (q,)),
    ],
    ids=["grad", "vmap", "jvp"],
)
def test_inside_a_functional_transform_it_says_why_it_cannot(transformed):
    with pytest.raises(ValueError, match=r"cpu: forward-mode derivatives and torch\.func go thr"):
        transformed(draw(5, 2, 3))
    assert gattn.backend_reasons(*[draw(5, 2, 3)] * 3, GRAPH)["cpu"] == []
