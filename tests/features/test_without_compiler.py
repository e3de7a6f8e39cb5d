"""With numba switched off the package is plain Python, and says the same.

Compiled code reads past the end of an array without a word; plain Python stops there. So this is also the check that no
kernel does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import WINDOWS, Case
from conformance import CHECKS

from peculiar.features.families import FAMILIES

HERE = Path(__file__).resolve().parent
OFF = {"NUMBA_DISABLE_JIT": "1"}
# To mix the bits of a hash is to overflow; only the interpreter speaks of it.
QUIET = ("-W", "ignore:overflow encountered in scalar:RuntimeWarning")


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """The vectors of the rich log for each kind of windows, built by the interpreter."""
    output = tmp_path_factory.mktemp("interpreted") / "vectors.npz"
    run = [sys.executable, "-W", "error", *QUIET, str(HERE / "interpreted.py"), str(output)]
    done = subprocess.run(run, env=os.environ | OFF, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(output) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("every", WINDOWS)
def test_the_interpreter_builds_the_same_vectors(interpreted, every):
    """Without the compiler, and with bounds checked, vectors are the same but for the last bits of a float32.

    Not to the bit: where a kernel adds a float32 to a number, the compiler reckons in float64 and the interpreter in
    float32.
    """
    whole = Case.of("volume", every).stage.whole
    assert interpreted[every].shape == whole.values.shape
    for name, ours, theirs in zip(whole.names, whole.values, interpreted[every], strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.long
def test_the_same_tests_pass():
    """The tests of the kernels, and what every family promises of windows by session, pass without the compiler."""
    tests = [str(HERE / name) for name in ("test_kernels.py", "test_conformance.py")]
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *QUIET]
    run = [*pytest_alone, "-k", "kernels or conforms and session", *tests]
    done = subprocess.run(run, env=os.environ | OFF, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert int(passed[1]) > len(CHECKS) * len(FAMILIES), "hardly a test was run"
