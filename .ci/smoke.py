"""Install the built wheel where nothing else is, and use it there as a newcomer would.

Usage: `python .ci/smoke.py FOLDER`, where FOLDER holds the wheel (`.ci/build.py`). A new environment outside the
checkout gets the run-time lock and the wheel, so a dependency that only the tests bring, or a file that only the
checkout has, is missed here.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

EVENTS, LABELS, SCORES = "log/events.parquet", "log/labels.parquet", "scores.parquet"
COLUMNS = ("entity", "as_of", "score", "rank")

STEPS = [
    ["peculiar", "--version"],
    ["peculiar", "--help"],
    ["python", "-c", "import peculiar"],
    ["peculiar", "simulate", "--events", "20000", "--users", "200", "--days", "60", "--seed", "1", "-o", "log"],
    ["peculiar", "train", EVENTS, "--labels", LABELS, "--json", "train.json"],
    ["peculiar", "score", EVENTS, "--model", "models:/peculiar@champion", "-o", SCORES, "--budget", "10/day"],
    ["python", "-c", f"import polars; polars.read_parquet({SCORES!r}).select({COLUMNS!r}).row(0)"],
]


def run(command: list[str], *, folder: Path, environment: dict[str, str]) -> None:
    """Run one step; on failure print all that it said and stop."""
    start = time.monotonic()
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = " ".join([Path(command[0]).name, *command[1:4]])
    if done.returncode:
        sys.exit(f"{done.stdout}\nsmoke: exit code {done.returncode} from: {' '.join(command)}")
    print(f"{time.monotonic() - start:6.1f} s  {shown}", flush=True)


def main(built: Path) -> None:
    """Make the environment, install, use."""
    lock = Path("requirements/run.txt").resolve()
    (wheel,) = built.resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        venv.create(folder / "env", with_pip=True)
        binaries = folder / "env" / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
        environment = kept | {
            "HOME": str(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        }
        pip = [str(binaries / "python"), "-m", "pip"]
        install = [*pip, "install", "--quiet", "--progress-bar", "off", "--no-deps"]
        run([*install, "--require-hashes", "--no-compile", "-r", str(lock)], folder=folder, environment=environment)
        run([*install, str(wheel)], folder=folder, environment=environment)
        run([*pip, "check"], folder=folder, environment=environment)
        for step in STEPS:
            run([str(binaries / step[0]), *step[1:]], folder=folder, environment=environment)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
