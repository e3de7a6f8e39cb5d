"""Rivals that live in an environment of their own, run as a script by that environment's Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError
from .stopwatch import Run

if TYPE_CHECKING:
    from .entrants import Course

__all__ = ["python_of_rivals", "run_foreign"]

_PLACE = "PECULIAR_RIVALS"
_ROOT = Path(__file__).resolve().parents[2]


def python_of_rivals() -> Path:
    """The Python of the rivals' environment: under ``PECULIAR_RIVALS``, by default ``.venv-rivals`` of the checkout.

    Raises
    ------
    ConfigError
        If there is none.
    """
    python = Path(os.environ.get(_PLACE, _ROOT / ".venv-rivals")) / "bin" / "python"
    if not python.is_file():
        message = (
            f"expected the rivals' environment with {python}, found none; `make rivals` makes it, {_PLACE} names it"
        )
        raise ConfigError(message)
    return python


def run_foreign(rival: str, course: Course, *, save: Path | None = None) -> Run:
    """Let Featuretools or tsfresh build its features of a course.

    Parameters
    ----------
    rival : "featuretools" or "tsfresh"
    course : Course
    save : Path, optional
        Gets the values as Parquet: ``entity``, ``as_of`` and the features.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError
        If there is no environment for it, or it fails.
    """
    plan = json.loads((course.frozen / "plan.json").read_text(encoding="utf-8"))
    roles = {role: plan["roles"][role] for role in ("entity", "at", "id", "dimensions", "measures")}
    request = {**roles, "rival": rival, "log": str(course.log), "tiny": str(course.tiny), "trailing": [7, 28]}
    request |= {} if save is None else {"save": str(save)}
    script, apart = Path(__file__).with_name("apart.py"), {"PYTHONPATH", "PYTHONHOME"}
    command = [str(python_of_rivals()), str(script), json.dumps(request)]
    environment = {name: value for name, value in os.environ.items() if name not in apart}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - ours
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        message = (
            f"expected {rival} to build its features of {course.log.name}, but it ended with {last!r}; `make rivals`"
        )
        raise ConfigError(message)
    told = json.loads(done.stdout.rpartition("\n")[2])
    stages = {"features": told["seconds"]}
    return Run(stages, told["cpu_seconds"], told["peak_rss_bytes"], told["rows"], tuple(told["names"]))
