"""Put this folder's own modules in reach: the logs, the plain reference and the conformance checks.

Tests are collected by path (``--import-mode=importlib``), which leaves the folder of a test off the import path.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("event_logs", "plain_reference", "cases", "invariance", "conformance")
sys.path.insert(0, str(Path(__file__).resolve().parent))
