"""What is large: addresses beyond 32 bits, and the memory of a step."""

import pytest
import torch

import gattn
from gattn import normalizers
from tests.ops.triton.where import BACKEND, draw, gradients, near, on_gpu, random_graph, rows_of

GIB = 1 << 30


def needs(size):
    if torch.cuda.mem_get_info()[0] < size:
        pytest.skip(f"needs {size / GIB:.0f} GiB of GPU memory that are free")


@on_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("score", ["dot", "gatv2"])
def test_nodes_beyond_2_31_numbers(score, dtype):
    """Rows at the far end of [N, H, C] are those of a small graph with the same features."""
    needs(60 * GIB)
    heads, channels, nodes = 8, 128, 2**21 + 8
    assert nodes * heads * channels > 2**31
    far = torch.tensor([0, 1, 2, nodes - 3, nodes - 2, nodes - 1], device="cuda")
    edges = torch.tensor([[5, 4, 0, 3, 5, 2, 5, 1], [5, 5, 5, 5, 4, 3, 0, 0]], device="cuda")
    small = draw(6, heads, channels, device="cuda", dtype=dtype).requires_grad_()
    large = torch.zeros(nodes, heads, channels, device="cuda", dtype=dtype)
    large[far] = small.detach()
    large.requires_grad_()
    made = gattn.scores.Dot() if score == "dot" else gattn.scores.GATv2(heads, channels)
    made, results = made.to("cuda", dtype), []
    pairs = ((small, edges, slice(None)), (large, far[edges], far))
    for x, which, rows in pairs:
        graph = gattn.from_edge_index(which, len(x))
        out = gattn.attend(x, x, x, graph, score=made, backend=BACKEND)[rows]
        weights = draw(*out.shape, device="cuda", dtype=dtype, seed=3)
        (grad,) = torch.autograd.grad(out, x, weights)
        results.append((out.detach(), grad[rows].clone()))
        del grad, out
    for found, expected in zip(results[1], results[0], strict=True):
        near(found, expected, 1e-2)
    del large, results, pairs
    torch.cuda.empty_cache()


@on_gpu
@pytest.mark.parametrize(
    "normalizer", [normalizers.Softmax(), normalizers.TopK(2), normalizers.Sparsemax()], ids=str
)
def test_pairs_beyond_2_31_numbers(normalizer):
    """The last row of a graph with E * H > 2^31 has its own biases, not those of another."""
    needs(70 * GIB)
    heads, degree = 64, 32
    rows = 2**31 // (heads * degree) + 8
    graph = every_row(rows, degree)
    assert graph.num_pairs * heads > 2**31
    query = torch.zeros(rows, heads, 1, device="cuda")
    value = torch.zeros(rows, heads, 1, device="cuda")
    last = slice(graph.num_pairs - degree, graph.num_pairs)
    bias = torch.zeros(graph.num_pairs, heads, device="cuda", dtype=torch.bfloat16)
    bias[last] = draw(degree, heads, device="cuda", dtype=torch.bfloat16)
    value[:degree] = draw(degree, heads, 1, device="cuda", seed=1)
    out = gattn.attend(
        query, query, value, graph, normalizer=normalizer, pair_bias=bias, backend=BACKEND
    )
    alone = gattn.from_edge_index(
        torch.stack([torch.arange(degree), torch.zeros(degree, dtype=torch.int64)]), (degree, 1)
    )
    one = [tensor.cpu() for tensor in (query[:1], query[:degree], value[:degree])]
    expected = gattn.attend(
        *one, alone, normalizer=normalizer, pair_bias=bias[last].cpu(), backend="reference"
    )
    near(out[-1:], expected, 1e-4)
    near(out[:-1].abs().max(), out[0].abs().max(), 1e-4)
    del out, bias, query, value, graph
    torch.cuda.empty_cache()


def every_row(rows, degree):
    """Each row attends to the first `degree` nodes; built where there is room, on the GPU."""
    target = torch.arange(rows, device="cuda").repeat_interleave(degree)
    source = torch.arange(degree, device="cuda").repeat(rows)
    return gattn.from_edge_index(torch.stack([source, target]), rows)


@on_gpu
@pytest.mark.parametrize("score", ["dot", "gatv2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_peak_of_a_step_has_nothing_for_each_pair_and_channel(score, dtype):
    nodes, pairs, heads, channels = 100_000, 2_000_000, 4, 64
    graph = random_graph(nodes, pairs, "cuda")
    made = gattn.scores.Dot() if score == "dot" else gattn.scores.GATv2(heads, channels)
    made = made.to("cuda", dtype)
    leaves = [
        draw(nodes, heads, channels, device="cuda", seed=seed, dtype=dtype).requires_grad_()
        for seed in range(3)
    ]
    upstream = torch.ones(nodes, heads, channels, device="cuda", dtype=dtype)

    def step():
        out = gattn.attend(*leaves, graph, score=made, backend=BACKEND)
        torch.autograd.grad(out, [*leaves, *made.parameters()], upstream)

    step()  # the transpose is made, the kernels are compiled
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    # Output (exact, and in its dtype) and three gradients (likewise), a few numbers of each row and
    # head, and two of each pair and head between the passes of the backward.
    buffers = 4 * nodes * heads * channels * (4 + (0 if dtype == torch.float32 else 2))
    bound = buffers + 8 * nodes * heads * 4 + 2 * pairs * heads * 4 + (32 << 20)
    assert bound < pairs * heads * channels * 4
    assert peak <= bound, f"found {peak / 1e6:.0f} MB, expected at most {bound / 1e6:.0f} MB"


@on_gpu
def test_a_step_leaves_no_memory_behind():
    graph = random_graph(10_000, 100_000, "cuda")
    leaves = [draw(10_000, 4, 16, device="cuda", seed=s).requires_grad_() for s in range(3)]

    def step():
        gradients(gattn.attend(*leaves, graph, dropout=0.2, backend=BACKEND), leaves)

    step()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == before


@on_gpu
def test_many_rows_without_pairs():
    graph = rows_of([0] * 100_000 + [3] + [0] * 100_000, 3, "cuda")
    query = draw(200_001, 2, 4, device="cuda").requires_grad_()
    key, value = (draw(3, 2, 4, device="cuda", seed=s).requires_grad_() for s in (1, 2))
    out = gattn.attend(query, key, value, graph, backend=BACKEND)
    assert bool((out[100_000] != 0).any()) and not bool(out[:100_000].any() | out[100_001:].any())
    grads = gradients(out, [query, key, value])
    assert all(bool(torch.isfinite(grad).all()) for grad in grads)
    assert not bool(grads[0][:100_000].any())
