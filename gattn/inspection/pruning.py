"""`prune_heads`: a smaller model, whose layers have fewer heads."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gattn.inspection.parameters import channels_of, has_heads, keep_heads, rows_of, set_rows

_ADDED = ("res", "lin_skip", "lin_beta")


class KeptHeads(nn.Module):
    """An attention layer that has lost heads, behind the face of one that has all of them.

    The output is as wide as it was, with zeros where the lost heads were, or the mean over as many
    heads as there were. What a layer adds to its heads (bias, residual, root weight and gate of
    PyG's layers) is added here, to all channels. Everything else is asked of `layer`.

    Args:
        layer: the layer with all its heads; it is changed.
        kept: the heads that stay, in ascending order.
    """

    def __init__(self, layer: nn.Module, kept: list[int]) -> None:
        super().__init__()
        self.num_heads, self.width = int(layer.heads), channels_of(layer)  # type: ignore[arg-type]
        self.concat = bool(layer.concat)
        self.bias = getattr(layer, "bias", None)
        if self.bias is not None:
            layer.bias = None  # type: ignore[assignment]
        self.added = nn.ModuleDict()
        for name in _ADDED:
            module = getattr(layer, name, None)
            if isinstance(module, nn.Module):
                setattr(layer, name, None)
                if getattr(layer, "root_weight", True):  # without, PyG's layer never uses it
                    self.added[name] = module
        if hasattr(layer, "root_weight"):
            layer.root_weight = False  # type: ignore[assignment]
        keep_heads(layer, kept)
        self.layer = layer
        self.register_buffer("kept", torch.tensor(kept, device=_device(layer)), persistent=False)

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As the layer's own; what it returns beside its output has the heads that are left."""
        found = self.layer(x, *args, **kwargs)
        out, *more = found if isinstance(found, tuple) else (found,)
        out = self._rooted(self._placed(out), x[1] if isinstance(x, (tuple, list)) else x)
        out = out if self.bias is None else out + self.bias
        return (out, *more) if more else out

    def __getattr__(self, name: str) -> Any:
        """What a wrapper has not, the layer may have."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "layer":
                raise
            return getattr(super().__getattr__("layer"), name)

    def extra_repr(self) -> str:
        """Which heads are left."""
        return f"kept={self.kept.tolist()} of {self.num_heads}"

    def _placed(self, out: Tensor) -> Tensor:
        """As if the lost heads had said zero."""
        if not self.concat:
            return out * (len(self.kept) / self.num_heads)
        heads = out.unflatten(-1, (len(self.kept), self.width))
        wide = out.new_zeros(*heads.shape[:-2], self.num_heads, self.width)
        return wide.index_copy(-2, self.kept, heads).flatten(-2)

    def _rooted(self, out: Tensor, target: Tensor | None) -> Tensor:
        """What PyG's layers make of the features of the target itself."""
        if "res" in self.added and target is not None:
            out = out + self.added["res"](target)
        if "lin_skip" not in self.added:
            return out
        root = self.added["lin_skip"](target)
        if "lin_beta" not in self.added:
            return out + root
        gate = self.added["lin_beta"](torch.cat([out, root, out - root], dim=-1)).sigmoid()
        return gate * root + (1 - gate) * out


class Savings(NamedTuple):
    """What a smaller model saves.

    Args:
        parameters: how many fewer it has.
        share: of all parameters.
        seconds: of a forward pass before and afterwards, the median of several in turns.
    """

    parameters: int
    share: float
    seconds: tuple[float, float]


def prune_heads(model: nn.Module, heads: Mapping[str, Iterable[int]]) -> nn.Module:
    """A copy of a model without some heads; their parameters are gone.

    It computes what the model computes when the outputs of those heads are zero (`ablated`). Where
    a block says which linear layer alone reads the heads (`head_reader`), that layer shrinks, too;
    elsewhere the width stays as it is (`KeptHeads`).

    Args:
        model: any, with attention layers of ours or PyG's.
        heads: the heads to remove, by the name of their layer in `model.named_modules()`.

    Raises:
        KeyError: the model has no such layer.
        TypeError: the heads of a layer cannot be told apart.
        ValueError: a layer has no such head, or would have none left.
    """
    smaller = copy.deepcopy(model)
    for name, lost in heads.items():
        layer = _layer(smaller, name)
        kept = _left(name, int(layer.heads), set(lost))  # type: ignore[arg-type]
        parent, _, child = name.rpartition(".")
        if len(kept) == layer.heads:
            continue
        if layer is smaller:
            return KeptHeads(layer, kept)
        owner = smaller.get_submodule(parent)
        reader = getattr(owner, "head_readers", {}).get(child)
        if reader is None or not layer.concat:
            setattr(owner, child, KeptHeads(layer, kept))
        else:
            _shrink(layer, getattr(owner, reader), kept)
    return smaller


def savings(model: nn.Module, pruned: nn.Module, x: Any, structure: Any, runs: int = 5) -> Savings:
    """What a pruned model saves beside the one that it was made of.

    Args:
        model: before.
        pruned: afterwards.
        x: features.
        structure: what else they take.
        runs: forward passes of each, in turns, after one that does not count.
    """
    before, after = (sum(p.numel() for p in each.parameters()) for each in (model, pruned))
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for each, found in zip((model, pruned), times, strict=True):
            seconds = _timed(lambda each=each: each(x, structure))
            found.extend([seconds] if number else [])
    seconds = (statistics.median(times[0]), statistics.median(times[1]))
    return Savings(before - after, (before - after) / max(before, 1), seconds)


def _layer(model: nn.Module, name: str) -> nn.Module:
    own = type(model).__name__
    named = dict(model.named_modules()) | {own: model}
    if name not in named:
        known = ", ".join(key for key, each in named.items() if key and has_heads(each))
        raise KeyError(f"heads: found the layer {name!r}, expected one of {known}")
    layer = named[name]
    layer = layer.layer if isinstance(layer, KeptHeads) else layer
    if not (isinstance(layer, nn.Module) and has_heads(layer)):
        raise TypeError(f"heads: found {type(layer).__name__} at {name}, expected one with heads")
    return layer


def _left(name: str, heads: int, lost: set[int]) -> list[int]:
    wrong = sorted(lost - set(range(heads)))
    if wrong:
        raise ValueError(f"heads: found {wrong[0]} for {name}, expected 0 <= head < {heads}")
    kept = [head for head in range(heads) if head not in lost]
    if not kept:
        raise ValueError(f"heads: found all {heads} of {name}, expected one to be left")
    return kept


def _shrink(layer: nn.Module, reader: nn.Linear, kept: list[int]) -> None:
    """Remove heads and the columns that read them; what their bias said goes on being said."""
    lost = [head for head in range(int(layer.heads)) if head not in kept]  # type: ignore[arg-type]
    rows, gone = (rows_of(layer, some).to(reader.weight.device) for some in (kept, lost))
    bias, said = layer.bias, reader.bias.detach()
    if isinstance(bias, Tensor):
        said = said + reader.weight[:, gone] @ bias[gone]
        layer.bias = nn.Parameter(bias.detach()[rows], bias.requires_grad)
    set_rows(reader, reader.weight[:, rows], said)
    keep_heads(layer, kept)


def _device(layer: nn.Module) -> torch.device:
    return next(layer.parameters()).device


@torch.no_grad()
def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start
