"""Write the rich log's vectors for each kind of windows to a file: run with and without the compiler."""

from __future__ import annotations

import sys

import numpy as np
from cases import WINDOWS, Case

if __name__ == "__main__":
    wholes = {every: Case.of("volume", every).stage.whole for every in WINDOWS}
    np.savez(sys.argv[1], **{every: vectors.values for every, vectors in wholes.items()})
