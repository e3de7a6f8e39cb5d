"""The verbs about registered models and what reviewers say of their alerts; :mod:`peculiar.cli` gathers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["VERBS"]

VERBS: tuple[click.Command, ...] = ()
