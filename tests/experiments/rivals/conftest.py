"""Put this folder's own module of random logs in reach; tests are collected by path, which leaves it off the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("rival_logs")
sys.path.insert(0, str(Path(__file__).resolve().parent))
