"""A generated task on rings of cliques: find a cluster by its captain, then ask all its members."""

from __future__ import annotations

import numpy as np
import torch

from gattn.data.graphs import Masks, at_least, stratified_masks, undirected
from gattn.data.parts import HALVES, disjoint_copies, no_part_empty, one_hots
from gattn.data.task import Task


def cluster_lookup(
    num_graphs: int = 40,
    num_clusters: int = 8,
    cluster_size: int = 8,
    num_tokens: int = 4,
    num_tags: int = 16,
    *,
    seed: int = 0,
    num_splits: int = 10,
) -> Task:
    """Tells the most frequent token of the cluster whose captain holds the wanted tag.

    Every graph is a ring of cliques (networkx's `connected_caveman_graph`), the clusters: node n
    belongs to cluster n // cluster_size, clusters of all graphs counted through. Every node holds
    a token, uniform but for this: a cluster's tokens are drawn again until one is more frequent
    than every other. Every cluster has a tag, unique within its graph, which one random member
    holds, its captain. Every node wants a random tag of its own graph; the label is the most
    frequent token of that tag's cluster. Attention over all nodes of a graph finds the captain, and
    hears only its token. Features are the columns [wanted tag, held tag, none held, token].

    Whole graphs are in one part, so that the graphs tested are never seen: splits are 50/25/25 of
    the graphs.

    Args:
        num_graphs: the number of graphs, at least 4.
        num_clusters: of every graph, at least 2.
        cluster_size: nodes of every cluster, at least 3.
        num_tokens: the number of tokens, which are the classes.
        num_tags: the number of tags, of which every graph uses `num_clusters`.
        seed: of tokens, tags, captains, wishes and splits.
        num_splits: the number of splits.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if an argument is too small; `num_tags` has to be `num_clusters` at least.
    """
    at_least("num_graphs", num_graphs, 4)
    at_least("num_clusters", num_clusters, 2)
    at_least("cluster_size", cluster_size, 3)
    at_least("num_tokens", num_tokens, 2)
    at_least("num_tags", num_tags, num_clusters)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    rng, graph_size = np.random.default_rng(seed), num_clusters * cluster_size
    token = _tokens(num_graphs * num_clusters, cluster_size, num_tokens, rng)
    tags = rng.permuted(np.tile(np.arange(num_tags), (num_graphs, 1)), axis=1)[:, :num_clusters]
    held = _held(tags.ravel(), cluster_size, num_tags, rng)
    majority = _counts(token, num_tokens).argmax(axis=1).reshape(tags.shape)
    wish = rng.integers(num_clusters, size=(num_graphs, graph_size))
    wanted, label = (np.take_along_axis(of, wish, axis=1).ravel() for of in (tags, majority))
    x = one_hots((wanted, num_tags), (held, num_tags + 1), (token.ravel(), num_tokens))
    edge_index = disjoint_copies(_caveman(num_clusters, cluster_size), graph_size, num_graphs)
    masks = _masks_by_graph(num_graphs, graph_size, num_splits, rng)
    y = torch.from_numpy(label)
    return Task("cluster-lookup", x, edge_index, y, *masks, "accuracy", num_tokens)


def _tokens(number: int, size: int, num_tokens: int, rng: np.random.Generator) -> np.ndarray:
    """`[number, size]`, the tokens of every cluster, one of them the most frequent."""
    token = rng.integers(num_tokens, size=(number, size))
    while (tied := _tied(token, num_tokens)).any():
        token[tied] = rng.integers(num_tokens, size=(tied.sum(), size))
    return token


def _counts(token: np.ndarray, num_tokens: int) -> np.ndarray:
    return (token[:, :, None] == np.arange(num_tokens)).sum(axis=1)


def _tied(token: np.ndarray, num_tokens: int) -> np.ndarray:
    counts = np.sort(_counts(token, num_tokens), axis=1)
    return counts[:, -1] == counts[:, -2]


def _held(tags: np.ndarray, size: int, num_tags: int, rng: np.random.Generator) -> np.ndarray:
    """The tag that every node holds: its cluster's if it is the captain, else `num_tags`."""
    held = np.full((len(tags), size), num_tags)
    held[np.arange(len(tags)), rng.integers(size, size=len(tags))] = tags
    return held.ravel()


def _caveman(num_clusters: int, size: int) -> np.ndarray:
    """`[2, E]`: cliques, where the edge from first to second member goes to the clique before."""
    cliques = disjoint_copies(np.stack(np.triu_indices(size, 1))[:, 1:], size, num_clusters)
    first, num_nodes = torch.arange(0, num_clusters * size, size), num_clusters * size
    links = torch.stack([first, (first - 1) % num_nodes])
    return undirected(torch.cat([cliques, links], dim=1), num_nodes).numpy()


def _masks_by_graph(
    num_graphs: int, graph_size: int, num_splits: int, rng: np.random.Generator
) -> Masks:
    alike = torch.zeros(num_graphs, dtype=torch.int64)
    graphs = no_part_empty(
        "num_graphs", num_graphs, stratified_masks(alike, HALVES, num_splits, rng)
    )
    train, val, test = (part.repeat_interleave(graph_size, dim=0) for part in graphs)
    return train, val, test
