"""Options of `gattn train`, `compare` and `data`, and what help says of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gattn._arguments import WHOLE, about, number

MODELS = "attention, recurrent, gat, gatv2, transformer, pyg-gat, pyg-gatv2, pyg-transformer"
MODELS += ", diffusion, layer, layer-blind"
MODELS += ", paper-gat, decoupled, decoupled-degree, stack-gat, stack"
SCORES = (
    "dot, scaled_dot, general, cosine, additive, gat, gatv2, distance, supergat_mx, supergat_sd, "
    "mlp, tempered"
)
NORMALIZERS = "softmax, sparsemax, entmax15, sigmoid, tanh, top4, top8, top16, hard"
ENCODINGS = "laplacian, random_walk"
BREADTH = "Hops that a node looks, or learned:5, diffusion:6, full, full:3."
LEVELS = "Levels of a layer: 1 node, 2 + hop, 3 + feature, 4 + cluster"
TUNED = "[dim]\\[default: by model, see below][/dim]"
USUAL = (
    "Defaults of the model attention: score scaled_dot, normalizer softmax, layers 2, hidden 32, "
    "heads 8, dropout 0.2, epochs 200, lr 0.01, weight_decay 0.0, optimizer adamw. "
    "Of recurrent: score scaled_dot, normalizer sigmoid, layers 12, hidden 32, heads 4, "
    "dropout 0.0, epochs 400, lr 0.005, weight_decay 0.0, optimizer adamw. "
    "Of layer and layer-blind: score scaled_dot, normalizer softmax, layers 1, hidden 64, heads 1, "
    "dropout 0.0, epochs 300, lr 0.01, weight_decay 0.0, optimizer adam. Those of decoupled "
    "and stack are in gattn.compare.classics. Of all others, the GAT paper's: "
    "layers 2, hidden 8, heads 8, dropout 0.6, epochs 200, lr 0.005, "
    "weight_decay 0.0005, optimizer adam, and of diffusion score gat, normalizer softmax, "
    "restart 0.1, attention_dropout 0.2, feature_dropout 0.0; its breadth is the number of rounds."
)

SETTINGS = ("layers", "hidden", "heads", "dropout", "epochs", "lr", "weight_decay")
SETTINGS += ("optimizer", "patience", "restart", "attention_dropout", "feature_dropout")
SETTINGS += ("monitor", "clip", "scheduler", "lr_factor", "lr_every", "warmup", "label_smoothing")
SETTINGS += ("precision", "batch_size", "judged_by", "region", "halo", "steps", "hide", "fill")
"""Options that are a trial's settings of the same name."""

of_model = partial(about, "Model")
of_training = partial(about, "Training")
of_study = partial(about, "Study")
DECIMAL = number(float, "a number")
NUMBERS = "several: 1 2 3, or 1,2,3"

Root = Annotated[
    Path | None,
    about(
        None,
        "Folder of the datasets, in PyG's layout.",
        metavar="FOLDER",
        show_default="~/.cache/gattn",
    ),
]
Option = Annotated[
    list[str] | None,
    about(
        None, "Options of the dataset, such as size=40 for minesweeper.", metavar="NAME=VALUE..."
    ),
]
Layers = Annotated[int | None, of_model(f"Layers. {TUNED}", **WHOLE)]
Hidden = Annotated[
    int | None,
    of_model(
        f"Width; for models of the GAT recipe the channels of one head. {TUNED}",
        **WHOLE,
    ),
]
Heads = Annotated[int | None, of_model(f"Heads. {TUNED}", **WHOLE)]
SeveralLayers = Annotated[
    list[str] | None, of_model(f"Layers; {NUMBERS}. {TUNED}", metavar="INTEGER...")
]
SeveralHeads = Annotated[
    list[str] | None, of_model(f"Heads; {NUMBERS}. {TUNED}", metavar="INTEGER...")
]
Dropout = Annotated[float | None, of_model(f"Dropout. {TUNED}", **DECIMAL)]
Restart = Annotated[float | None, of_model("Of diffusion: own share in a round.", **DECIMAL)]
WeightDrop = Annotated[float | None, of_model("Of diffusion: dropout of the weights.", **DECIMAL)]
RoundDrop = Annotated[float | None, of_model("Of diffusion: dropout in a round.", **DECIMAL)]
Epochs = Annotated[int | None, of_training(f"Epochs. {TUNED}", **WHOLE)]
Lr = Annotated[float | None, of_training(f"Learning rate. {TUNED}", **DECIMAL)]
Decay = Annotated[float | None, of_training(f"Weight decay. {TUNED}", **DECIMAL)]
Optimizer = Annotated[str | None, of_training(f"adam or adamw. {TUNED}", metavar="NAME")]
Patience = Annotated[
    int | None,
    of_training(
        "Stop after so many epochs without a better validation metric.",
        show_default="never",
        **WHOLE,
    ),
]
Monitor = Annotated[
    str | None,
    of_training(
        "Which epoch is the best: by validation metric, loss, or both.",
        metavar="NAME",
        show_default="metric",
    ),
]
Clip = Annotated[
    float | None, of_training("Largest norm of the gradient.", show_default="none", **DECIMAL)
]
# Not --scheduler: that is the address of a cluster.
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--lr-scheduler",
        help="cosine, linear, step or plateau.",
        metavar="NAME",
        show_default="none",
        rich_help_panel="Training",
    ),
]
LrFactor = Annotated[
    float | None,
    of_training("Of step and plateau.", show_default="0.1 and 0.5", **DECIMAL),
]
LrEvery = Annotated[
    int | None,
    of_training("Epochs of step and plateau.", show_default="a third and 10", **WHOLE),
]
Warmup = Annotated[
    int | None,
    of_training("Epochs before the full learning rate.", show_default="0", **WHOLE),
]
Smoothing = Annotated[
    float | None,
    of_training("Share of a label spread over all classes.", show_default="0", **DECIMAL),
]
Precision = Annotated[
    str | None,
    of_training("float32, bfloat16 or float16.", metavar="NAME", show_default="float32"),
]
Region = Annotated[
    int | None,
    of_training("Train on balls of this radius, in hops.", show_default="all nodes", **WHOLE),
]
Halo = Annotated[
    int | None,
    of_training("Of a region: hops within its border that teach nothing.", **WHOLE),
]
Steps = Annotated[int | None, of_training("Regions of an epoch.", show_default="1", **WHOLE)]
Hide = Annotated[
    float | None,
    of_training("Largest share of nodes whose features are hidden, to be filled in.", **DECIMAL),
]
Fill = Annotated[
    float | None, of_training("Weight of filling in.", show_default="1 with --hide", **DECIMAL)
]
BatchSize = Annotated[
    int | None,
    of_training("Training nodes of a step.", show_default="all, in the whole graph", **WHOLE),
]
Neighbors = Annotated[
    list[str] | None,
    of_training(
        "Neighbours that a node of a batch picks, for each hop that the model looks: 15 10.",
        metavar="INTEGER...",
        show_default="all",
    ),
]
JudgedBy = Annotated[
    str | None,
    about(
        "Training",
        "Metric to select and report by: accuracy, macro_f1, macro_recall, roc_auc or "
        "average_precision.",
        decls=("--metric",),
        metavar="NAME",
        show_default="the dataset's",
    ),
]
Curves = Annotated[
    Path | None,
    of_study(
        "Folder of curves for TensorBoard, one folder per trial.",
        metavar="FOLDER",
        show_default="none are written",
    ),
]
FirstSeed = Annotated[int, of_study("The first seed; the others follow.", **WHOLE)]
Checkpoints = Annotated[
    Path | None,
    of_study(
        "Folder of checkpoints: a killed training continues from its own.",
        metavar="FOLDER",
        show_default="none are written",
    ),
]
Device = Annotated[str, of_study("cpu, cuda or cuda:1.", metavar="NAME")]
Threads = Annotated[
    int | None, of_study("Threads of torch on the CPU.", show_default="torch's", **WHOLE)
]
Jobs = Annotated[
    int | None,
    of_study(
        "Trials at once, -1 for all cores.",
        show_default="1; of a cluster all places",
        **WHOLE,
    ),
]
Backend = Annotated[
    str,
    of_study("Who runs several trials at once: loky (this machine), dask, ray.", metavar="NAME"),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Address of a running cluster of dask or ray.",
        metavar="ADDRESS",
        show_default="one on this machine",
        rich_help_panel="Study",
    ),
]
Time = Annotated[
    str | None,
    of_study(
        "Time for this call, such as 30m: settings that do not pay are cut by halves.",
        metavar="TIME",
        show_default="none",
    ),
]
