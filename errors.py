"""Every error that peculiar raises on purpose.

All descend from :class:`PeculiarError`, so a caller can catch the family. A message says what was expected, what came,
where (file, column, row), and the way out.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "ConfigError",
    "LabelError",
    "LeakageError",
    "PeculiarError",
    "PlanMismatchError",
    "SchemaError",
]


class PeculiarError(Exception):
    """The root of all errors raised by peculiar on purpose."""


class SchemaError(PeculiarError, ValueError):
    """The events do not have the columns or the types that their roles need."""


class ConfigError(PeculiarError, ValueError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class LabelError(PeculiarError, ValueError):
    """The labels cannot be tied to entities, events or times."""


class LeakageError(PeculiarError):
    """A vector depends on something that happened, or became known, after its ``as_of``."""


class PlanMismatchError(PeculiarError, ValueError):
    """Vectors, population and model were not made by the same feature plan."""


class BundleError(PeculiarError):
    """A saved model is incomplete, altered, or of a format that this version does not read."""
