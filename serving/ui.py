"""MLflow's page on the right store, opened where the candidates stand side by side."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import PeculiarError
from ..training.views import CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ..training.store import Store

__all__ = ["comparison_url", "serve_ui", "ui_server"]

_SECONDS_TO_START = 90
_STANDARD_ERROR = 2


def comparison_url(store: Store, *, host: str = "127.0.0.1", port: int = 5000, view: str = CANDIDATES.key) -> str:
    """Address of the page that compares the candidates.

    Parameters
    ----------
    store : Store
    host, port
        Where :func:`serve_ui` listens; not used if the store is a server already.
    view : str
        Key of a saved view.
    """
    base = store.uri.rstrip("/") if store.uri.startswith("http") else f"http://{host}:{port}"
    query = f"workflowType=machine_learning&viewStateShareKey={quote(view)}&compareRunsMode=CHART"
    return f"{base}/#/experiments/{store.experiment_id}/runs?{query}"


def serve_ui(store: Store, *, host: str = "127.0.0.1", port: int = 5000, open_browser: bool = False) -> None:
    """Show MLflow's page until Ctrl-C; a store that is a server is only pointed at.

    Parameters
    ----------
    store : Store
    host : str
        Where to listen. The page has no login: anything but this machine's own address shows it to the network.
    port : int
        The next free one is taken, with a word, if it is in use.
    open_browser : bool

    Raises
    ------
    PeculiarError
        If the server ends by itself.
    """
    if store.uri.startswith("http"):
        _announce(comparison_url(store), open_browser=open_browser)
        return
    # Around all of it: Ctrl-C may come while the server starts, or between two lines.
    with contextlib.suppress(KeyboardInterrupt), ui_server(store, host=host, port=port) as (process, taken):
        if taken != port:
            sys.stdout.write(f"Port {port} is in use; taking {taken}.\n")
        _announce(comparison_url(store, host=host, port=taken), open_browser=open_browser)
        sys.stdout.write("Ctrl-C ends it.\n")
        sys.stdout.flush()
        # Not process.wait(): Polars, once imported, has the system go on with a wait that Ctrl-C interrupts.
        while process.poll() is None:
            time.sleep(0.2)
        raise PeculiarError(f"MLflow's server ended by itself (code {process.returncode}); its output says why")
    sys.stdout.write("\nStopped.\n")


@contextlib.contextmanager
def ui_server(
    store: Store, *, host: str = "127.0.0.1", port: int = 5000
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run MLflow's server for as long as the block; give its process and its port once it answers.

    The server gets a process group of its own, and the whole group is ended: MLflow starts a second process that would
    otherwise go on alone.
    """
    taken = _free_port(host, port)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri, "--host", host]
    artifacts = (store.home / "mlartifacts").as_uri()
    command += ["--port", str(taken), "--workers", "1", "--default-artifact-root", artifacts]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _terminable():
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            [*command, "--uvicorn-opts", "--log-level warning"],
            env=os.environ | quiet,
            stdout=_STANDARD_ERROR,  # standard output is for what the user should read
            start_new_session=True,
        )
        try:
            _wait_until_up(process, f"http://{host}:{taken}/health")
            yield process, taken
        finally:
            _end(process)


def _announce(url: str, *, open_browser: bool) -> None:
    sys.stdout.write(f"Compare the candidates at\n  {url}\n")
    if open_browser:
        webbrowser.open(url)


def _free_port(host: str, wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], address: str) -> None:
    for _ in range(_SECONDS_TO_START * 5):
        if process.poll() is not None:
            raise PeculiarError(f"MLflow's server did not start (code {process.returncode}); its output says why")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - our own address
            return
        time.sleep(0.2)
    raise PeculiarError(f"MLflow's server did not answer at {address} within {_SECONDS_TO_START} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) work as Ctrl-C does; by default it would leave the server behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
