"""Finding a version by the short names that a person types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import BundleError
from .references import resolve

if TYPE_CHECKING:
    from .registry import Version
    from .store import Store

__all__ = ["find_version", "version_uri"]

_NUMBER = re.compile(r"(?:([^/@]+)/)?([0-9]+)")
_ALIAS = re.compile(r"([^/@]*)@([^/@]+)")


def version_uri(text: str, *, name: str) -> str:
    """The address of a version: ``3``, ``cards/3``, ``@champion`` or ``cards@champion`` written out.

    Parameters
    ----------
    text : str
        What is none of these is returned as it is.
    name : str
        The registered model, where the text names none.

    Examples
    --------
    >>> version_uri("3", name="peculiar"), version_uri("@champion", name="peculiar")
    ('models:/peculiar/3', 'models:/peculiar@champion')
    >>> version_uri("cards@previous", name="peculiar"), version_uri("models:/cards/2", name="peculiar")
    ('models:/cards@previous', 'models:/cards/2')
    """
    short = text.removeprefix("models:/")
    if match := _NUMBER.fullmatch(short):
        return f"models:/{match[1] or name}/{match[2]}"
    if match := _ALIAS.fullmatch(short):
        return f"models:/{match[1] or name}@{match[2]}"
    return text


def find_version(store: Store, text: str, *, name: str) -> Version:
    """The registered version that a short name means; see :func:`version_uri`.

    Raises
    ------
    BundleError
        If there is none, or it is a model that was never registered.
    """
    version = resolve(store, version_uri(text, name=name)).version
    if version is None:
        message = (
            f"expected a registered version such as 3, @champion or {name}/3, got {text!r}; register the model first"
        )
        raise BundleError(message)
    return version
