"""When PyG's own forward runs in a drop-in: it computes the same, and it can be refused."""

import subprocess
import sys

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.nn.aggr import SumAggregation

import gattn.nn
from tests.nn.peers import GATS, NAMES, close, features, graph, pair

IN, OUT, EDGE = 5, 3, 4
OURS = tuple(getattr(gattn.nn, name) for name in NAMES)
STEPS = ("propagate", "message", "aggregate")
# A TransformerConv has no edge update.
HOOKED = [*((name, step) for name in NAMES for step in STEPS), *((n, "edge_update") for n in GATS)]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def handed(monkeypatch):
    """The names of the layers whose PyG forward has run, in order."""
    calls = []
    for name in NAMES:
        original = getattr(pyg, name).forward

        def spy(self, *args, original=original, **kwargs):
            if isinstance(self, OURS):
                calls.append(type(self).__name__)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(getattr(pyg, name), "forward", spy)
    return calls


def _refused(ours, *args, reason: str, **kwargs) -> None:
    ours.backend = "reference"
    with pytest.raises(ValueError, match="PyG's own forward has to run, because") as error:
        ours(*args, **kwargs)
    assert reason in str(error.value) and "\n" not in str(error.value)
    ours.backend = None


def _agrees(peer, ours, handed, x, edges, *args, reason: str | None) -> None:
    """Ours hands over where there is a reason and only there, equals PyG's, and can refuse."""
    before = len(handed)
    close(ours(x, edges, *args), peer(x, edges, *args))
    assert len(handed) - before == (reason is not None)
    if reason is not None:
        _refused(ours, x, edges, *args, reason=reason)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_handed_over_without_a_reason(name, handed):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=EDGE, dropout=0.0)
    x, edges = features(7, IN), graph()
    attr = features(edges.shape[1], EDGE)
    _agrees(peer, ours, handed, x, edges, attr, reason=None)
    ours.register_forward_hook(lambda *_: None)  # torch's own hooks are none of PyG's
    ours.register_forward_pre_hook(lambda *_: None)
    _agrees(peer, ours, handed, x, edges, attr, reason=None)


@pytest.mark.parametrize(("name", "step"), HOOKED)
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_hooks_fire_and_may_modify(name, step, kind, handed):
    peer, ours = pair(name, IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    plain = ours(x, edges)
    fired = []

    def pre_hook(module, inputs):
        fired.append(module)
        *head, kwargs = inputs
        return (*head, {key: _doubled(value) for key, value in kwargs.items()})

    def hook(module, inputs, output):
        fired.append(module)
        return 2 * output

    handles = []
    for layer in (peer, ours):
        register = getattr(layer, f"register_{step}_{kind}")
        handles.append(register(pre_hook if kind == "forward_pre_hook" else hook))
    _agrees(peer, ours, handed, x, edges, reason=f"a hook on {step} is registered")
    assert fired == [peer, ours] or fired == [ours, peer]
    if step != "aggregate" or kind == "forward_hook":
        assert not torch.allclose(ours(x, edges), plain)
    handles[1].remove()
    assert handed.clear() is None
    close(ours(x, edges), plain)
    assert not handed


def _doubled(value):
    if isinstance(value, Tensor) and value.is_floating_point():
        return 2 * value
    return tuple(2 * side for side in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_message_and_aggregate_hook_is_a_reason_too(name, handed):
    peer, ours = pair(name, IN, OUT)
    ours.register_message_and_aggregate_forward_hook(lambda *_: None)
    x, edges = features(7, IN), graph()
    _agrees(peer, ours, handed, x, edges, reason="a hook on message_and_aggregate is registered")


@pytest.mark.parametrize("name", NAMES)
def test_explain_mode(name, handed):
    peer, ours = pair(name, IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    plain = ours(x, edges)
    mask = torch.randn(edges.shape[1], dtype=torch.float64)
    for layer in (peer, ours):
        layer.explain = True
        layer._edge_mask, layer._loop_mask = mask, edges[0] != edges[1]
    _agrees(peer, ours, handed, x, edges, reason="explain mode is on")
    assert not torch.allclose(ours(x, edges), plain)
    ours.explain = False
    close(ours(x, edges), plain)


def _subclass(base: type, method: str) -> type:
    """A user's subclass of a layer that overrides one method."""

    class Mine(base):
        pass

    def message(self, x_j: Tensor, alpha: Tensor) -> Tensor:
        return 3 * super(Mine, self).message(x_j, alpha)

    def aggregate(self, inputs: Tensor, index: Tensor, ptr=None, dim_size=None) -> Tensor:
        return 3 * super(Mine, self).aggregate(inputs, index, ptr, dim_size)

    def update(self, inputs: Tensor) -> Tensor:
        return 3 * inputs

    def edge_update(
        self,
        alpha_j: Tensor,
        alpha_i: Tensor,
        edge_attr: Tensor,
        index: Tensor,
        ptr: Tensor,
        dim_size: int,
    ) -> Tensor:
        return 3 * alpha_j

    def propagate(self, edge_index, size=None, **kwargs) -> Tensor:
        return 3 * pyg.MessagePassing.propagate(self, edge_index, size=size, **kwargs)

    def edge_updater(self, edge_index, size=None, **kwargs) -> Tensor:
        return 3 * pyg.MessagePassing.edge_updater(self, edge_index, size=size, **kwargs)

    setattr(Mine, method, locals()[method])
    # PyG's layers share generated code between classes of one name.
    Mine.__name__ = f"Mine_{base.__module__}_{base.__name__}_{method}".replace(".", "_")
    return Mine


OVERRIDES = ("message", "aggregate", "update", "edge_update", "propagate", "edge_updater")


@pytest.mark.parametrize("method", OVERRIDES)
def test_a_subclass_that_overrides_a_step_of_gat(method, handed):
    peer = _subclass(pyg.GATConv, method)(IN, OUT, heads=2).double()
    ours = _subclass(gattn.nn.GATConv, method)(IN, OUT, heads=2).double()
    ours.load_state_dict(peer.state_dict())
    x, edges = features(7, IN), graph()
    plain = pyg.GATConv(IN, OUT, heads=2).double()
    plain.load_state_dict(peer.state_dict())
    assert not torch.allclose(peer(x, edges), plain(x, edges))
    _agrees(peer, ours, handed, x, edges, reason=f"{method} is overridden")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["aggregate", "update"])
def test_a_subclass_of_any_layer_and_its_subclass(name, method, handed):
    mine = [_subclass(getattr(where, name), method) for where in (pyg, gattn.nn)]
    for classes in (mine, [type(f"Child{cls.__name__}", (cls,), {}) for cls in mine]):
        peer, ours = (cls(IN, OUT, heads=2).double() for cls in classes)
        ours.load_state_dict(peer.state_dict())
        _agrees(peer, ours, handed, features(7, IN), graph(), reason=f"{method} is overridden")


@pytest.mark.parametrize("name", NAMES)
def test_a_subclass_that_overrides_nothing_is_not_handed_over(name, handed):
    class Mine(getattr(gattn.nn, name)):
        def extra(self):
            return 1

    class Grandchild(Mine):
        pass

    for cls in (Mine, Grandchild, Mine):
        ours = cls(IN, OUT, heads=2).double()
        peer = getattr(pyg, name)(IN, OUT, heads=2).double()
        peer.load_state_dict(ours.state_dict())
        x, edges = features(7, IN), graph()
        _agrees(peer, ours, handed, x, edges, reason=None)
        # A subclass obeys explain mode and hooks all the same.
        ours.explain = peer.explain = True
        mask = torch.randn(edges.shape[1], dtype=torch.float64)
        for layer in (peer, ours):
            layer._edge_mask, layer._loop_mask = mask, edges[0] != edges[1]
        _agrees(peer, ours, handed, x, edges, reason="explain mode is on")


@pytest.mark.parametrize("name", NAMES)
def test_a_method_set_on_the_instance(name, handed):
    peer, ours = pair(name, IN, OUT)
    for layer in (peer, ours):
        layer.update = lambda inputs: 3 * inputs
    # PyG's layer looks methods up on the instance, too.
    _agrees(peer, ours, handed, features(7, IN), graph(), reason="update is overridden")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("aggr", ["mean", "max"])
def test_another_aggregation(name, aggr, handed):
    peer, ours = pair(name, IN, OUT, heads=2, aggr=aggr)
    _agrees(peer, ours, handed, features(7, IN), graph(), reason=f"aggr is '{aggr}', not 'add'")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("aggr", ["add", "sum", SumAggregation()])
def test_the_sum_by_any_name_is_ours(name, aggr, handed):
    peer, ours = pair(name, IN, OUT, heads=2, aggr=aggr)
    _agrees(peer, ours, handed, features(7, IN), graph(), reason=None)


@pytest.mark.parametrize("name", NAMES)
def test_another_flow(name, handed):
    peer, ours = pair(name, IN, OUT, heads=2, flow="target_to_source")
    reason = "flow is 'target_to_source', not 'source_to_target'"
    _agrees(peer, ours, handed, features(7, IN), graph(), reason=reason)


@pytest.mark.parametrize("name", NAMES)
def test_decomposed_layers(name, handed):
    peer, ours = pair(name, IN, 4, heads=2, decomposed_layers=2)
    for layer in (peer, ours):  # PyG's own cannot be decomposed
        with pytest.raises((AttributeError, RuntimeError)):
            layer(features(7, IN), graph())
    _refused(ours, features(7, IN), graph(), reason="decomposed_layers is 2, not 1")
    ours.decomposed_layers = peer.decomposed_layers = 1
    handed.clear()
    _agrees(peer, ours, handed, features(7, IN), graph(), reason=None)


@pytest.mark.parametrize("name", NAMES)
def test_another_node_dim(name, handed):
    peer, ours = pair(name, IN, OUT, heads=2)
    for layer in (peer, ours):
        layer.node_dim = -3  # the same dimension of [N, H, C], for PyG's steps
    if name in GATS:
        _refused(ours, features(7, IN), graph(), reason="node_dim is -3, not 0")
    else:
        _agrees(peer, ours, handed, features(7, IN), graph(), reason="node_dim is -3, not 0")


@pytest.mark.parametrize("name", NAMES)
def test_an_edge_projection_that_is_hooked(name, handed):
    peer, ours = pair(name, IN, OUT, heads=2, edge_dim=EDGE)
    for layer in (peer, ours):
        layer.lin_edge.register_forward_hook(lambda module, args, out: out.tanh())
    x, edges = features(7, IN), graph()
    attr = features(edges.shape[1], EDGE)
    _agrees(peer, ours, handed, x, edges, attr, reason="lin_edge is replaced or hooked")


@pytest.mark.parametrize("name", ["GATv2Conv", "TransformerConv"])
def test_edge_attr_without_an_edge_dim_is_refused_as_pyg_refuses_it(name):
    peer, ours = pair(name, IN, OUT, heads=2)
    x, edges = features(7, IN), graph()
    attr = features(edges.shape[1], EDGE)
    for layer in (peer, ours):
        with pytest.raises((AssertionError, RuntimeError)):
            layer(x, edges, attr)
    _refused(ours, x, edges, attr, reason="there is an edge_attr but no edge_dim")


def test_transformer_edge_dim_without_edge_attr_is_refused_as_pyg_refuses_it():
    peer, ours = pair("TransformerConv", IN, OUT, edge_dim=EDGE)
    for layer in (peer, ours):
        with pytest.raises(AssertionError):
            layer(features(7, IN), graph())
    _refused(ours, features(7, IN), graph(), reason="there is an edge_dim but no edge_attr")


@pytest.mark.parametrize("name", GATS)
def test_weights_returned_under_dropout(name, handed):
    _, ours = pair(name, IN, OUT, heads=2, dropout=0.5)
    x, edges = features(7, IN), graph()
    ours(x, edges, return_attention_weights=True)
    assert handed == [name]
    _refused(
        ours, x, edges, return_attention_weights=True, reason="weights are returned under dropout"
    )
    ours.eval()(x, edges, return_attention_weights=True)
    assert handed == [name]


def test_a_forced_backend_of_the_class(monkeypatch):
    monkeypatch.setattr(gattn.nn.GATConv, "backend", "reference")
    _, ours = pair("GATConv", IN, OUT, aggr="mean")
    with pytest.raises(
        ValueError, match=r"backend: found 'reference', expected None: .* aggr is 'mean'"
    ):
        ours(features(7, IN), graph())
    assert gattn.nn.GATv2Conv.backend is None


# Recording ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_torch_compile_gives_the_same_numbers_without_a_break(name):
    peer, ours = pair(name, IN, OUT, heads=2, **({"add_self_loops": False} if name in GATS else {}))
    x, edges = features(7, IN), graph()
    torch._dynamo.reset()
    close(torch.compile(ours, backend="eager", fullgraph=True)(x, edges), peer(x, edges))
    torch._dynamo.reset()


# dynamo looks at the gradients of intermediate results where it resumes after a break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("backend", [None, "reference"])
def test_torch_compile_with_breaks(backend):
    """PyG's self-loops break the graph, and so does an operator that nobody has taught dynamo."""
    peer, ours = pair("GATConv", IN, OUT, heads=2)
    ours.backend = backend
    x, edges = features(7, IN), graph()
    torch._dynamo.reset()
    close(torch.compile(ours, backend="eager")(x, edges), peer(x, edges))
    torch._dynamo.reset()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_is_right_for_another_graph(name):
    _, ours = pair(name, IN, OUT, heads=2)
    traced = torch.jit.trace(ours, (features(7, IN), graph()), check_trace=False)
    x, edges = features(9, IN), graph(9, 9, 12)
    close(traced(x, edges), ours(x, edges))


@pytest.mark.parametrize("name", NAMES)
def test_export(name):
    _, ours = pair(name, IN, OUT, heads=2, **({"add_self_loops": False} if name in GATS else {}))
    x, edges = features(7, IN).detach(), graph()
    exported = torch.export.export(ours, (x, edges)).module()
    close(exported(x, edges), ours(x, edges))


# The trap of the names ------------------------------------------------------------------------

TRAP = """
import torch, torch_geometric.nn as pyg, gattn.nn

def layers(name):
    order = {order}
    built = {{where: getattr({{"pyg": pyg, "ours": gattn.nn}}[where], name)(4, 3, heads=2)
             for where in order}}
    built["ours"].load_state_dict(built["pyg"].state_dict())
    return built["pyg"], built["ours"]

x, edges = torch.randn(5, 4), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
for name in ("GATConv", "GATv2Conv", "TransformerConv"):
    peer, ours = layers(name)
    torch.testing.assert_close(ours(x, edges), peer(x, edges))
    for layer in (peer, ours):
        layer.register_message_forward_hook(lambda module, inputs, out: 2 * out)
    torch.testing.assert_close(ours(x, edges), peer(x, edges))
    peer, ours = layers(name)
    for layer in (peer, ours):
        layer.explain = True
        layer._edge_mask, layer._loop_mask = torch.arange(4.0) - 1, edges[0] >= 0
    masked = ours(x, edges)
    torch.testing.assert_close(masked, peer(x, edges))
    for layer in (peer, ours):
        layer.explain = False
    torch.testing.assert_close(ours(x, edges), peer(x, edges))
    assert not torch.allclose(ours(x, edges), masked)
    assert pyg.MessagePassing.propagate.__module__ == "torch_geometric.nn.conv.message_passing"
print("fine")
"""


@pytest.mark.parametrize("order", [("pyg", "ours"), ("ours", "pyg")])
def test_pygs_layer_built_before_and_after_ours(order):
    """PyG caches generated code by the name of the class; each order in a process of its own."""
    program = TRAP.format(order=order)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "fine", done.stderr
