"""Streamed pairs on the device: the numbers of stored ones, wherever and in what blocks found."""

import threading

import pytest
import torch

import gattn
from gattn import forms
from gattn.neighborhood._tensors import BYTES_PER_PAIR
from gattn.normalizers import Hard, Sigmoid, Softmax, Sparsemax, TopK
from gattn.ops import block_loop
from gattn.ops.inputs import Inputs
from gattn.ops.problem import Problem

pytest.importorskip("triton")

from gattn.ops.triton import search, streamed
from tests.ops.triton.where import on_gpu

HEADS, CHANNELS, WIDTH, COUNT, HOPS = 2, 3, 2, 9, 2
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, whose borders fall anywhere, and no large tiles for an interpreter."""
    monkeypatch.setattr(block_loop, "MOST_PAIRS", 14)
    if DEVICE.type == "cpu":
        monkeypatch.setattr(search, "_TILE", 4)
        monkeypatch.setattr(search, "_WORDS", 2)


@pytest.fixture(params=["device", "cpu"])
def where(request, monkeypatch):
    """Where the pairs are found."""
    monkeypatch.setattr(streamed, "is_searched_on_device", lambda *_: request.param == "device")


def edges_of(count=COUNT, edges=16, seed=3):
    """A graph with a hub, and with a node that none is joined to."""
    draw = torch.Generator().manual_seed(seed)
    found = torch.randint(0, count - 1, (2, edges), generator=draw)
    others = torch.arange(1, count - 1)
    return torch.cat([found, torch.stack([others, others * 0])], dim=1)


def around_of(count=COUNT, edges=16, num_hops=HOPS, **asked):
    return gattn.k_hop(edges_of(count, edges), num_hops, count, streamed=True, **asked).to(DEVICE)


def leaves_of(count=COUNT, dtype=torch.float64, heads=HEADS, channels=CHANNELS, width=WIDTH):
    torch.manual_seed(0)
    sizes = {
        "left": (count, heads, channels),
        "right": (count, heads, channels),
        "value": (count, heads, width),
        "hop_bias": (HOPS + 1, heads),
        "weight": (heads, channels),
        "source_bias": (count, heads),
        "target_bias": (count, heads),
    }
    made = {name: torch.randn(size, dtype=dtype) for name, size in sizes.items()}
    return {name: tensor.to(DEVICE).requires_grad_() for name, tensor in made.items()}


def form_of(kind, leaves):
    left, right, weight = (leaves[name] for name in ("left", "right", "weight"))
    if kind == "biased":
        biases = leaves["source_bias"], leaves["target_bias"]
        return forms.Multiplicative(left, right, 0.5, *biases)
    act = {"tanh": "tanh", "sum": "leaky_relu"}.get(kind)
    if act is not None:
        return forms.Additive(left, right, weight, act)
    return forms.Multiplicative(left, right, 0.5)


def results(kind, leaves, around, **options):
    """Output, statistic and all gradients."""
    normalizer, shared = options.get("normalizer", Softmax()), options.pop("shared", False)
    torch.manual_seed(1)
    args = form_of(kind, leaves), None if shared else leaves["value"], around
    options["hop_bias"] = leaves["hop_bias"]
    if normalizer.has_statistic:
        out, statistic = gattn.attend_form_with_statistic(*args, **options)
        finite = statistic.masked_fill(statistic == -torch.inf, 0.0)
    else:
        out, finite = gattn.attend_form(*args, **options), torch.zeros((), device=DEVICE)
    torch.manual_seed(2)
    upstream = torch.randn(out.shape).half().to(DEVICE, out.dtype)
    loss = (out * upstream).sum() + finite.sin().sum()
    grads = torch.autograd.grad(
        loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return {"out": out, "statistic": finite, **dict(zip(leaves, grads, strict=True))}


def assert_same(found, expected, tolerance=0.0):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        other = found[name]
        assert other.dtype == tensor.dtype and other.shape == tensor.shape
        error = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(other, tensor, msg=lambda m, n=name: f"{n}: {m}", **error)


def assert_as_the_reference(kind, around, dtype=torch.float64, **options):
    leaves, stored = leaves_of(dtype=dtype), around.expand()
    assert len(around.blocks(block_loop.MOST_PAIRS)) > 2
    found = results(kind, leaves, around, backend="triton", **options)
    expected = results(kind, leaves, stored, backend="reference", **options)
    assert_same(found, expected, TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("kind", "normalizer"),
    [
        ("product", Softmax()),
        ("sum", Softmax()),
        ("biased", Sigmoid()),
        ("tanh", Sigmoid()),
        ("sum", TopK(2)),
        ("biased", Hard()),
    ],
    ids=str,
)
def test_forms_and_normalizers(kind, normalizer):
    assert_as_the_reference(kind, around_of(), normalizer=normalizer)


@pytest.mark.parametrize("normalizer", [Softmax(), TopK(2)], ids=str)
def test_pairs_may_be_found_anywhere(where, normalizer):
    assert_as_the_reference("biased", around_of(), normalizer=normalizer)


@pytest.mark.parametrize("normalizer", [Softmax(), Sigmoid()], ids=str)
def test_dropout_counts_the_rows_of_the_whole(where, normalizer):
    assert_as_the_reference("biased", around_of(), normalizer=normalizer, dropout=0.4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("normalizer", [Softmax(), Hard()], ids=str)
def test_half_types(dtype, normalizer):
    assert_as_the_reference("sum", around_of(), dtype, normalizer=normalizer)


@pytest.mark.parametrize("asked", [{"complete": True, "num_hops": 1}, {"shells": [0, 2]}], ids=str)
def test_shells_and_complete(where, asked):
    assert_as_the_reference("product", around_of(**asked))


@pytest.mark.parametrize("kind", ["biased", "sum"])
def test_rings(where, kind):
    assert_as_the_reference(kind, around_of().rings(), dropout=0.3)


def test_value_may_be_the_forms_own_side():
    assert_as_the_reference("product", around_of(), shared=True)
    assert_as_the_reference("sum", around_of(), torch.bfloat16, shared=True)


def test_other_normalizers_go_in_halves():
    assert_as_the_reference("product", around_of(), normalizer=Sparsemax())


@pytest.mark.parametrize("normalizer", [TopK(2), Hard()], ids=str)
def test_of_equal_scores_the_earlier_pair_is_selected(where, normalizer):
    around = around_of()
    x = torch.zeros(COUNT, 1, 2, dtype=torch.float64, device=DEVICE)
    value = torch.randn_like(x).requires_grad_()
    found = []
    for structure, name in ((around, "triton"), (around.expand(), "reference")):
        out = gattn.attend(x, x, value, structure, normalizer=normalizer, backend=name)
        found.append((out, *torch.autograd.grad(out.pow(2).sum(), value)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_where_pairs_are_found_changes_no_bit(monkeypatch):
    around, leaves, found = around_of(), leaves_of(dtype=torch.bfloat16), []
    for on_device in (True, False):
        monkeypatch.setattr(streamed, "is_searched_on_device", lambda *_, at=on_device: at)
        options = {"backend": "triton", "normalizer": TopK(3), "dropout": 0.3}
        found.append(results("sum", leaves, around, **options))
    assert_same(*found)


def test_gradients_of_half_types_are_rounded_once():
    """Those of sources and of what all share are sums over blocks; a half would lose the small."""
    around, leaves = around_of(edges=40), leaves_of(dtype=torch.float16)
    assert len(around.blocks(block_loop.MOST_PAIRS)) > 4
    found = results("sum", leaves, around, backend="triton")
    wide = {n: t.detach().float().requires_grad_() for n, t in leaves.items()}
    expected = results("sum", wide, around.expand(), backend="reference")
    for name in ("right", "value", "weight", "hop_bias"):
        error = (found[name].float() - expected[name]).abs()
        assert (error <= expected[name].abs() * 2**-11 + 1e-6).all(), name


def test_nothing_to_attend_to():
    empty = torch.zeros(2, 0, dtype=torch.int64)
    around = gattn.k_hop(empty, 1, 0, streamed=True).to(DEVICE)
    found = results("biased", leaves_of(0), around, backend="triton")
    assert found["out"].shape == (0, HEADS, WIDTH)
    assert (found["hop_bias"] == 0).all() and found["right"].shape == (0, HEADS, CHANNELS)


def test_a_second_derivative_is_the_references():
    around, leaves = around_of(), leaves_of()
    used = [leaves[name] for name in ("left", "right", "value")]
    found = []
    for structure, name in ((around, "triton"), (around.expand(), "reference")):
        out = gattn.attend(*used, structure, backend=name)
        first = torch.autograd.grad(out.sin().sum(), used, create_graph=True)
        found.append(torch.autograd.grad(sum(grad.cos().sum() for grad in first), used))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_compiled_layer_is_one_graph_with_the_same_results():
    around, leaves = around_of(), leaves_of(dtype=torch.float32)
    used = [leaves[name] for name in ("left", "right", "value")]

    def layer(query, key, value):
        return torch.tanh(gattn.attend(query, key, value, around, backend="triton")) * 2

    expected, compiled = layer(*used), torch.compile(layer, fullgraph=True, backend="aot_eager")
    found = compiled(*used)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(out.sum(), used) for out in (found, expected))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_it_is_a_proper_operator(keep, dtype):
    leaves, around = leaves_of(dtype=dtype), around_of(7, 5)
    leaves = {n: t[:7].detach().requires_grad_(keep) for n, t in leaves.items()}
    form = form_of("biased", leaves)
    problem = Problem(form, leaves["value"], around, Softmax(), leaves["hop_bias"])
    asked = around.starts, around.num_hops, around.shells, around.complete, keep
    args = *Inputs.of(problem, around), *asked
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.gattn_triton.attend_streamed.default, args, test_utils=tests)


def test_an_error_leaves_no_thread(monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(streamed, "is_searched_on_device", lambda *_: False)
    monkeypatch.setattr(streamed.launch, "attend", broken)
    leaves = leaves_of()
    with pytest.raises(MemoryError):
        results("product", leaves, around_of(), backend="triton")
    assert [t for t in threading.enumerate() if t.name == "gattn-ahead"] == []


def test_the_device_searches_where_balls_are_wide():
    wide, narrow = around_of(40, 300, complete=True), around_of(2000, 2000, num_hops=1)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert streamed.is_searched_on_device(wide, cuda)
    assert not streamed.is_searched_on_device(narrow, cuda)
    assert not streamed.is_searched_on_device(wide, cpu)


LARGE = {"count": 3000, "edges": 60_000}


@on_gpu
@pytest.mark.parametrize("kind", ["biased", "sum"])
@pytest.mark.parametrize("normalizer", [Softmax(), TopK(5)], ids=str)
def test_a_graph_in_many_blocks_is_as_stored(where, monkeypatch, normalizer, kind):
    monkeypatch.setattr(block_loop, "MOST_PAIRS", 1 << 16)
    around, leaves = around_of(**LARGE), leaves_of(LARGE["count"], channels=16, width=16)
    assert len(around.blocks(1 << 16)) > 9
    options = {"normalizer": normalizer, "dropout": 0.2}
    found = results(kind, leaves, around, backend="triton", **options)
    expected = results(kind, leaves, around.expand(), backend="triton", **options)
    assert_same(found, expected, 1e-6)


@on_gpu
def test_runs_streams_and_threads_give_the_same_bits(where, monkeypatch):
    monkeypatch.setattr(block_loop, "MOST_PAIRS", 1 << 16)
    around = around_of(**LARGE)
    leaves, found = leaves_of(LARGE["count"], torch.float32, channels=16, width=16), []
    for stream in (torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.Stream()):
        stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(stream):
            found.append(results("sum", leaves, around, backend="triton"))
        torch.cuda.synchronize()
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])


@on_gpu
def test_memory_is_that_of_a_block(where, monkeypatch):
    monkeypatch.setattr(block_loop, "MOST_PAIRS", 1 << 16)
    around = around_of(3000, 120_000)
    leaves = leaves_of(3000, torch.float32, channels=8, width=8)
    assert len(around.blocks(1 << 16)) > 40
    results("product", leaves, around, backend="triton")  # compiles, and keeps buffers
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    results("product", leaves, around, backend="triton")
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)
    assert torch.cuda.max_memory_allocated() - before <= around.num_pairs * BYTES_PER_PAIR / 2


@on_gpu
def test_the_other_device_is_used_where_the_tensors_are(where):
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    there = torch.device("cuda", 1)
    around, leaves = around_of(), leaves_of()
    expected = results("sum", leaves, around, backend="triton")
    moved = {name: tensor.detach().to(there).requires_grad_() for name, tensor in leaves.items()}
    out = gattn.attend_form(
        form_of("sum", moved),
        moved["value"],
        around.to(there),
        hop_bias=moved["hop_bias"],
        backend="triton",
    )
    assert out.device == there
    torch.testing.assert_close(out.to(DEVICE), expected["out"])
