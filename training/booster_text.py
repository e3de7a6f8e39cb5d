"""LightGBM's text, looked through before LightGBM reads it.

The library takes the numbers in its text on trust: a child or a column that is not there is memory that is not there,
and the process dies. So every tree is checked to be a tree over columns that exist before its reader sees the text.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = ["check_booster_text"]

_END = "end of trees"
_HEADER = ("num_class", "num_tree_per_iteration", "max_feature_idx", "objective", "feature_names", "tree_sizes")
_PER_SPLIT = ("split_gain", "threshold", "internal_value", "internal_weight", "internal_count")
_PER_LEAF = ("leaf_weight", "leaf_count")
_CATEGORICAL = 1  # the bit of a decision that is asked of categories; ours are all of numbers


def check_booster_text(text: str) -> None:
    """See that a text is a booster of one margin whose trees are trees.

    Raises
    ------
    ValueError
        Saying what was expected and what came.

    Examples
    --------
    >>> check_booster_text("tree")
    Traceback (most recent call last):
    ...
    ValueError: expected the line 'end of trees', found none
    """
    if f"\n{_END}\n" not in text:
        message = f"expected the line {_END!r}, found none"
        raise ValueError(message)
    head, *trees = re.split(r"(?<=\n)(?=Tree=)", text[: text.index(f"\n{_END}\n") + 1])
    known = _lines(head)
    _expect(text.startswith("tree\nversion=v4\n"), "version=v4 in the second line")
    _expect(all(name in known for name in _HEADER), f"a head with {', '.join(_HEADER)}")
    _expect(known["num_class"] == known["num_tree_per_iteration"] == "1", "one tree an iteration")
    _expect(known["objective"].split(" ")[0] == "binary", "objective=binary")
    columns = int(known["max_feature_idx"]) + 1
    _expect(len(known["feature_names"].split(" ")) == columns, f"{columns} feature_names")
    # The reader jumps by these sizes: each must end where its tree does.
    sizes = [int(size) for size in known["tree_sizes"].split()]
    _expect(sizes == [len(tree.encode()) for tree in trees], "tree_sizes that are the trees' lengths")
    for number, tree in enumerate(trees):
        _expect(tree.startswith(f"Tree={number}\n"), f"Tree={number}")
        _check_tree(_lines(tree), columns, f"Tree={number}")


def _check_tree(tree: dict[str, str], columns: int, where: str) -> None:
    leaves = int(tree.get("num_leaves", "0"))
    _expect(leaves >= 1 and tree.get("num_cat") == tree.get("is_linear") == "0", f"{where}: leaves and no categories")
    asked, decision, left, right = (
        _numbers(tree, name, leaves - 1, where, np.int64)
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    _expect(bool(np.all((asked >= 0) & (asked < columns))), f"{where}: split_feature below {columns}")
    _expect(bool(np.all((decision >= 0) & (decision & _CATEGORICAL == 0) & (decision < 16))), f"{where}: decision_type")
    # Below 0 stand leaves (-1 is the first), else splits; each but the root is somebody's child once, and a split comes
    # after the one above it, so that no way leads back.
    children = np.concatenate([left, right])
    below = np.sort(children)
    there = np.concatenate([np.arange(-leaves, 0), np.arange(1, leaves - 1)]) if leaves > 1 else below
    above = np.tile(np.arange(leaves - 1), 2)
    _expect(np.array_equal(below, there), f"{where}: children that are each there once")
    _expect(bool(np.all((children < 0) | (children > above))), f"{where}: children that come after their parents")
    _expect(bool(np.isfinite(_numbers(tree, "leaf_value", leaves, where)).all()), f"{where}: finite leaf_value")
    for name in _PER_SPLIT:
        _numbers(tree, name, leaves - 1, where)
    for name in _PER_LEAF if leaves > 1 else ():
        _numbers(tree, name, leaves, where)


def _numbers(tree: dict[str, str], name: str, count: int, where: str, kind: type = np.float64) -> Any:
    words = tree.get(name, "").split()
    _expect(len(words) == count, f"{where}: {count} numbers of {name}")
    return np.array(words, dtype=kind) if words else np.empty(0, kind)


def _lines(part: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for line in part.splitlines():
        name, _, value = line.partition("=")
        _expect(not name or name not in named, f"{name[:40]} once")
        named[name] = value
    return named


def _expect(held: bool, what: str) -> None:  # noqa: FBT001 - what is expected, as a sentence
    if not held:
        message = f"expected {what}"
        raise ValueError(message)
