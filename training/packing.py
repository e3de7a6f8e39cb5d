"""From scikit-learn's trees to a packed forest: level by level, siblings side by side, thresholds in raw units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .forest import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .conditioning import Conditioning

__all__ = ["grow", "pack"]


def grow(conditioning: Conditioning, seen: NDArray[np.float32], *, trees: int, samples: int, seed: int) -> Forest:
    """Grow a forest with scikit-learn on some inputs and pack it.

    Parameters
    ----------
    conditioning : Conditioning
        Of the inputs that this forest looks at.
    seen : float32 array of shape (n, n_all_inputs)
        All inputs, conditioned; the forest's own are picked out of them by ``conditioning.number``.
    """
    from sklearn.ensemble import IsolationForest

    own = seen if len(conditioning.number) == seen.shape[1] else np.ascontiguousarray(seen[:, conditioning.number])
    model = IsolationForest(n_estimators=trees, max_samples=min(samples, len(own)), random_state=seed)
    return pack([tree.tree_ for tree in model.fit(own).estimators_], conditioning)


def pack(trees: list[Any], conditioning: Conditioning) -> Forest:
    """Pack ``sklearn.tree._tree.Tree`` objects that were grown on conditioned inputs."""
    orders = [level_order(tree) for tree in trees]
    root = np.concatenate([[0], np.cumsum([len(order) for order in orders])]).astype(np.int32)
    feature = np.concatenate([tree.feature[order] for tree, order in zip(trees, orders, strict=True)])
    inner = feature >= 0
    cut = np.concatenate([tree.threshold[order] for tree, order in zip(trees, orders, strict=True)])[inner]
    threshold = np.zeros(len(feature), np.float32)
    threshold[inner] = conditioning.raw_thresholds(feature[inner], cut)
    rows = np.concatenate([tree.n_node_samples[order] for tree, order in zip(trees, orders, strict=True)])
    asked = np.where(inner, feature, -1).astype(np.int32)
    return Forest(conditioning.inputs, root, asked, threshold, rows.astype(np.int32))


def level_order(tree: Any) -> NDArray[np.intp]:
    """The tree's node numbers from the root down, the two children of a node next to each other."""
    levels, nodes = [], np.zeros(1, np.intp)
    while len(nodes):
        levels.append(nodes)
        parents = nodes[tree.feature[nodes] >= 0]
        nodes = np.stack([tree.children_left[parents], tree.children_right[parents]], axis=1).ravel()
    return np.concatenate(levels)
