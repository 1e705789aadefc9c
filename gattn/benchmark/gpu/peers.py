"""Fused kernels of others, where they are installed: ECMWF's anemoi and Turbo-GNN.

Neither is a dependency, nor is anything of their code here. `use_folder` finds them in a folder of
wheels; each has to agree with the reference before it is timed.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gattn.benchmark.gpu.operators import leaves_of
from gattn.benchmark.passes import Model
from gattn.benchmark.problems import Inputs, Layer
from gattn.benchmark.providers import Provider
from gattn.neighborhood import Sparse

_ANEMOI = "anemoi.models.triton.gt"
_TURBO = "turbo_gnn.ops"


def use_folder(folder: Path | None) -> None:
    """Make packages of a folder importable: unpacked ones, and wheels, which are unpacked aside.

    Args:
        folder: with packages or wheels; `None` = nothing to do.

    Raises:
        ValueError: there is no such folder.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise ValueError(f"peers: found {str(folder)!r}, expected a folder")
    sys.path.append(str(folder))
    wheels = sorted(folder.glob("*.whl"))
    if wheels:
        unpacked = tempfile.mkdtemp(prefix="gattn-peers-")
        for wheel in wheels:
            zipfile.ZipFile(wheel).extractall(unpacked)
        sys.path.append(unpacked)


def _missing(name: str, device: torch.device) -> list[str]:
    """Why a package of CUDA kernels cannot run."""
    if device.type != "cuda":
        return [f"{name.partition('.')[0]} runs on CUDA only"]
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001  # what a foreign package raises when it is imported
        return [f"{name} cannot be imported: {type(error).__name__}: {error}".splitlines()[0]]
    return []


def _anemoi_reasons(layer: Layer, device: torch.device) -> list[str]:
    if layer.kind not in ("dot", "dot+edges"):
        return [f"anemoi has no {layer.kind}"]
    return _missing(_ANEMOI, device)


def _anemoi(inputs: Inputs) -> Model:
    """Features of pairs are mandatory there, as wide as a key: zeros where the others have none.

    Its pairs are sorted by target. Where the others multiply 8 features inside the kernel, they are
    projected beforehand here, as its own layer does.
    """
    attend = importlib.import_module(_ANEMOI).graph_transformer_attention_conv
    leaves, around = leaves_of(inputs), inputs.structure
    assert isinstance(around, Sparse)
    columns = around.transpose
    by_target = around.col.long(), around.rowptr
    by_source = columns.rowptr, columns.perm, around.rows()
    query, key, value = (leaves[name] for name in ("query", "key", "value"))
    zeros, features = _pairs(inputs, around)

    def forward() -> Tensor:
        pairs = zeros if features is None else _projected(features, leaves["weight"])
        return attend(query, key, value, pairs, by_target, by_source)

    return Model(forward, leaves)


def _pairs(inputs: Inputs, around: Sparse) -> tuple[Tensor | None, Tensor | None]:
    """Zeros `[E, H, C]`, or the features `[E, F]` in the order of the rows."""
    layer, features = inputs.layer, inputs.tensors.get("features")
    if features is not None:
        return None, features if around.perm is None else features[around.perm]
    shape = (around.num_pairs, layer.heads, layer.channels)
    return torch.zeros(shape, dtype=layer.dtype, device=around.device), None


def _projected(features: Tensor, weight: Tensor) -> Tensor:
    return (features @ weight.flatten(1)).unflatten(1, weight.shape[1:])


def _turbo_reasons(layer: Layer, device: torch.device) -> list[str]:
    if layer.kind not in ("gatv2", "dot"):
        return [f"turbo-gnn has no {layer.kind}"]
    if layer.channels not in (32, 64, 128, 256):
        return [f"turbo-gnn has no heads of {layer.channels} channels"]
    return _missing(_TURBO, device)


def _turbo(inputs: Inputs) -> Model:
    ops: Any = importlib.import_module(_TURBO)
    graphs: Any = importlib.import_module("turbo_gnn.graph")
    leaves, around = leaves_of(inputs), inputs.structure
    assert isinstance(around, Sparse)
    adjacency = graphs.AdjacencyForwardBackwardWithNodeBuckets.from_edge_list(
        around.edge_index(), around.num_targets, index_dtype=torch.int32
    )
    if inputs.layer.kind == "gatv2":
        sides = leaves["left"], leaves["right"], leaves["att"]
        return Model(lambda: ops.gatv2_aggr(adjacency, *sides, 0.2), leaves)
    query, key, value = (leaves[name] for name in ("query", "key", "value"))
    scale = inputs.layer.channels**-0.5
    attend = ops.graph_transformer_aggr
    return Model(lambda: attend(adjacency, query, query, key, value, scale), leaves)


ANEMOI = Provider("anemoi", _anemoi_reasons, _anemoi)
TURBO = Provider("turbo-gnn", _turbo_reasons, _turbo)
