"""PyG's own tests, with the drop-ins in the place of PyG's layers.

For a maintainer: check PyG out at the installed version, then

    PYG_TESTS=/path/to/pytorch_geometric python -m tests.nn.pyg_suite [arguments of pytest]

and the same with `--peer` first for PyG's own layers, to see what fails without our doing. With
`PYG_TESTS` set, `test_pyg_suite.py` does the first as part of the test suite.

The module is a pytest plugin, too: loading it puts the drop-ins wherever PyG has bound its layers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# What uses GAT, GATv2 or Transformer layers, or the machinery that drop-ins have to fit into.
FILES = (
    "explain",
    "nn/conv/test_gat_conv.py",
    "nn/conv/test_gatv2_conv.py",
    "nn/conv/test_hetero_conv.py",
    "nn/conv/test_message_passing.py",
    "nn/conv/test_transformer_conv.py",
    "nn/dense/test_dense_gat_conv.py",
    "nn/models/test_attentive_fp.py",
    "nn/models/test_basic_gnn.py",
    "nn/models/test_polynormer.py",
    "nn/pool/test_sag_pool.py",
    "nn/test_sequential.py",
    "nn/test_to_hetero_module.py",
    "nn/test_to_hetero_transformer.py",
    "nn/test_to_hetero_with_bases_transformer.py",
)


def replace_layers() -> int:
    """Bind the drop-ins to every name that PyG has for its layers; how many names there were."""
    import torch_geometric.nn

    from gattn.nn import GATConv, GATv2Conv, TransformerConv

    ours = {layer.__base__: layer for layer in (GATConv, GATv2Conv, TransformerConv)}
    found = [
        (module, name, ours[value])
        for path, module in list(sys.modules.items())
        if path.startswith("torch_geometric")
        for name, value in list(vars(module).items())
        if isinstance(value, type) and value in ours
    ]
    for module, name, layer in found:
        setattr(module, name, layer)
    assert torch_geometric.nn.GATConv is GATConv
    return len(found)


def run(checkout: Path, arguments: list[str], peer: bool = False) -> int:
    """Run the files that the checkout has; pytest's exit status."""
    files = [path for name in FILES if (path := checkout / "test" / name).exists()]
    plugin = [] if peer else ["-p", "tests.nn.pyg_suite"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    return subprocess.call([*command, *map(str, files), *arguments], cwd=checkout, env=environment)


def pytest_configure() -> None:
    """Before PyG's test files import the layers."""
    replace_layers()


if __name__ == "__main__":
    with_peer = sys.argv[1:2] == ["--peer"]
    sys.exit(run(Path(os.environ["PYG_TESTS"]), sys.argv[1 + with_peer :], with_peer))
