"""HopTokenAttention: a small transformer over the hops of a node, by hand and in mini-batches."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch_geometric.data import Data

from gattn import normalizers, scores
from gattn.nn import HopTokenAttention
from gattn.transforms import HopTokens


def tokens(nodes=6, hops=3, features=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(nodes, hops + 1, features, generator=generator, dtype=dtype)


def made(*arguments, seed=0, **options):
    torch.manual_seed(seed)
    return HopTokenAttention(*arguments, **options).double()


def by_hand(model, x):
    """The same, dense: torch's own attention over the tokens of each node."""
    z = model.lin_in(x)
    for block in model.blocks:
        inner, attention = block.norm_attention(z), block.attention
        query, key, value = (
            lin(inner).unflatten(-1, (model.heads, -1)).transpose(1, 2)
            for lin in (attention.lin_query, attention.lin_key, attention.lin_value)
        )
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        z = z + block.merge(found + attention.bias)
        z = z + block.narrow(F.gelu(block.widen(block.norm_feed(z))))
    z = model.norm_out(z)
    score = torch.stack(
        [model.readout(torch.cat([z[:, 0], z[:, k]], dim=-1)) for k in range(1, z.shape[1])], dim=1
    )
    return z[:, 0] + (score.softmax(dim=1) * z[:, 1:]).sum(dim=1)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_it_is_nagphormer_by_hand(layers):
    model, x = made(5, 4, heads=2, num_layers=layers), tokens()
    torch.testing.assert_close(model(x), by_hand(model, x), rtol=1e-12, atol=1e-12)


def test_mini_batches_are_the_whole():
    model, x = made(5, 4, heads=2), tokens(nodes=7)
    parts = [model(rows) for (rows,) in DataLoader(TensorDataset(x), batch_size=3)]
    torch.testing.assert_close(torch.cat(parts), model(x), rtol=1e-12, atol=1e-12)
    order = torch.tensor([4, 0, 6])
    torch.testing.assert_close(model(x[order]), model(x)[order], rtol=1e-12, atol=1e-12)
    assert model(x[:0]).shape == (0, 8)


def test_the_readout_is_an_average_of_hops():
    model, x = made(5, 4, heads=2), tokens()
    weights = model.attention_weights(x)
    assert weights.shape == (6, 3)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6, dtype=weights.dtype))
    assert bool((weights.std(dim=0) > 0).all())


def test_the_order_of_hops_is_that_of_their_content():
    # Attention over tokens does not know their places but that of the first.
    model, x = made(5, 4, heads=2), tokens()
    torch.testing.assert_close(model(x[:, [0, 3, 1, 2]]), model(x))
    assert not torch.allclose(model(x[:, [1, 0, 2, 3]]), model(x))


def test_one_token_alone():
    model, x = made(5, 4), tokens(hops=0)
    assert model.attention_weights(x).shape == (6, 0)
    torch.testing.assert_close(model(x), model._attended(x)[:, 0])


@pytest.mark.parametrize("score", [scores.GATv2, scores.Cosine])
@pytest.mark.parametrize("normalizer", [None, normalizers.Sparsemax()], ids=str)
def test_scores_and_normalizers_are_to_choose(score, normalizer):
    model = made(5, 4, heads=2, score=score, normalizer=normalizer)
    model(tokens()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_gradients():
    model, x = made(3, 2, heads=2), tokens(nodes=2, features=3).requires_grad_()
    assert gradcheck(model, (x,))


def test_it_learns_from_rows_what_a_graph_knows():
    # Whether a mark is next to a node of a path: its own features do not tell.
    ahead = torch.stack([torch.arange(39), torch.arange(1, 40)])
    x = torch.zeros(40, 2)
    x[::7, 0] = 1.0
    data = HopTokens(3)(Data(x=x, edge_index=torch.cat([ahead, ahead.flip(0)], dim=1)))
    labels = torch.isin(torch.arange(40) % 7, torch.tensor([1, 6])).long()
    torch.manual_seed(0)
    model = torch.nn.Sequential(HopTokenAttention(2, 8, heads=2), torch.nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        for rows, wanted in DataLoader(TensorDataset(data.hop_tokens, labels), batch_size=10):
            optimizer.zero_grad()
            F.cross_entropy(model(rows), wanted).backward()
            optimizer.step()
    found = model(data.hop_tokens).argmax(dim=1)
    assert (found == labels).float().mean() > 0.9


def test_its_place_among_modules():
    model, x = made(-1, 4, heads=2, dropout=0.5), tokens()
    assert not torch.equal(model(x), model(x))
    out = model.eval()(x)
    assert torch.equal(model(x), out)
    other = made(5, 4, heads=2, dropout=0.5, seed=1).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), out)
    assert torch.equal(pickle.loads(pickle.dumps(model))(x), out)
    assert repr(other) == "HopTokenAttention(5, 4, heads=2)"
    again = copy.deepcopy(model)
    again.reset_parameters()
    assert not torch.equal(again(x), out)


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (torch.ones(3, 5), ValueError, r"tokens: found shape \[3, 5\], expected \[N, K \+ 1, 5\]"),
        (torch.ones(3, 2, 4), ValueError, r"expected \[N, K \+ 1, 5\]"),
        (torch.ones(3, 0, 5), ValueError, "expected a token or more"),
        (torch.ones(3, 2, 5).long(), TypeError, "tokens: found dtype torch.int64"),
    ],
)
def test_what_does_not_fit_is_refused(found, error, message):
    with pytest.raises(error, match=message):
        made(5, 4)(found)
