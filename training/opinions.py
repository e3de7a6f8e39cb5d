"""How the surprises of many small forests are joined: their p-norm, and the loudest of each family."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..features.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["join"]


def join(power: NDArray[np.float64], loudest: NDArray[np.float64], surprise: NDArray[np.float64], norm: float) -> None:
    """Add the power of a forest's surprises, and keep the loudest.

    Parameters
    ----------
    power, loudest : float64 arrays of shape (n,)
        Changed in place.
    surprise : float64 array of shape (n,), nats
    norm : float
        The exponent; a whole one is multiplied out, which takes a tenth of the time.

    Examples
    --------
    >>> power, loudest = np.zeros(2), np.ones(2)
    >>> join(power, loudest, np.array([2.0, 0.5]), 3.0)
    >>> power.tolist(), loudest.tolist()
    ([8.0, 0.125], [2.0, 1.0])
    """
    if norm.is_integer():
        _join(power, loudest, surprise, int(norm))
        return
    power += surprise**norm
    np.maximum(loudest, surprise, out=loudest)


@kernel
def _join(power: NDArray[np.float64], loudest: NDArray[np.float64], surprise: NDArray[np.float64], norm: int) -> None:
    for r in range(len(power)):
        power[r] += surprise[r] ** norm
        loudest[r] = max(loudest[r], surprise[r])
