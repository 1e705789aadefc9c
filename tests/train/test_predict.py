"""Inference in half precision: near the whole one, and the model is left alone."""

import pytest
import torch

import gattn
from gattn.data import load
from gattn.nn import AttentionGNN, GATConv
from gattn.train import Settings, fit, predict, seed_everything


@pytest.fixture(scope="module")
def trained():
    task = load("minesweeper", size=16)
    around = gattn.k_hop(task.edge_index, 2, task.num_nodes)
    seed_everything(0)
    model = AttentionGNN(task.x.size(1), 16, 1, 2, heads=2, hop_bias=2, dropout=0.2)
    fit(model, task, around, settings=Settings(epochs=40, lr=0.01, optimizer="adamw"))
    return model, task, around


@pytest.mark.parametrize(
    ("precision", "difference", "agree"), [("bfloat16", 0.1, 0.97), ("float16", 0.01, 0.995)]
)
def test_half_precision_is_near(trained, precision, difference, agree):
    model, task, around = trained
    whole, half = predict(model, task, around), predict(model, task, around, precision=precision)
    assert half.dtype == torch.float32
    assert 0 < (half - whole).abs().max() < difference * whole.abs().max()
    assert (half.argmax(1) == whole.argmax(1)).double().mean() >= agree


def test_the_model_is_left_as_it_is(trained):
    model, task, around = trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    first = predict(model, task, around, precision="bfloat16")
    assert all(module.training for module in model.modules())
    assert torch.equal(first, predict(model.eval(), task, around, precision="bfloat16"))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    with pytest.raises(ValueError, match="precision: found 'int8', expected one of float32"):
        predict(model, task, around, precision="int8")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_train_in_half_precision(trained, precision):
    """Autocast around layers whose operator sums in float32 all the same."""
    _, task, around = trained
    losses = {}
    for name in ("float32", precision):
        seed_everything(0)
        model = AttentionGNN(task.x.size(1), 16, 1, 2, heads=2, hop_bias=2)
        settings = Settings(epochs=10, lr=0.01, optimizer="adamw", precision=name)
        result = fit(model, task, around, settings=settings)
        losses[name] = torch.tensor([epoch.loss for epoch in result.history])
    assert not torch.equal(losses["float32"], losses[precision])
    torch.testing.assert_close(losses["float32"], losses[precision], rtol=0.03, atol=0)


def test_drop_ins_train_in_half_precision(trained):
    _, task, _ = trained
    seed_everything(0)
    settings = Settings(epochs=5, precision="bfloat16")
    result = fit(GATConv(task.x.size(1), 2), task, task.edge_index, settings=settings)
    assert result.history[-1].loss < result.history[0].loss
