"""Build the sdist, the wheel from the sdist, compare both with the tree, and unpack the wheel.

Usage: `python .ci/build.py FOLDER`, from the repository's root. The build works on a copy of what git would commit:
stale files of an earlier build, or a stray one, can neither enter the wheel nor help it to work. FOLDER then holds the
sdist, the wheel, and the wheel unpacked as `installed/`.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

SDIST_EXTRAS = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}


def copy_of_tree(target: Path) -> None:
    """Copy what git holds, or would add, to the folder `target`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for path in filter(Path.is_file, map(Path, filter(None, names.split("\0")))):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / path)


def expected(tree: Path) -> set[str]:
    """Paths, relative to the root, of what the package consists of."""
    setuptools = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    files: set[Path] = set()
    for package in setuptools["packages"]:
        folder = tree.joinpath(*package.split(".")[1:])
        files.update(folder.glob("*.py"))
        for pattern in setuptools["package-data"].get(package, []):
            matches = set(folder.glob(pattern))
            if not matches:
                sys.exit(f"build: pyproject.toml promises {package}/{pattern}, but there is no such file")
            files |= matches
    return {str(path.relative_to(tree)) for path in files}


def compare(what: str, held: set[str], wanted: set[str]) -> None:
    """Stop with the difference between what an archive holds and what it should hold."""
    lines = [f"  missing: {name}" for name in sorted(wanted - held)]
    lines += [f"  stray:   {name}" for name in sorted(held - wanted)]
    if lines:
        sys.exit("\n".join([f"build: the {what} differs from the tree", *lines]))


def build(tree: Path, folder: Path) -> tuple[Path, Path]:
    """Build into `folder`; return the sdist and the wheel that was built from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"build: failed\n{done.stdout}")
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def main(folder: Path) -> None:
    """Build, compare, unpack."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        copy_of_tree(tree)
        sdist, wheel = build(tree, folder)
        wanted = expected(tree)
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    compare("sdist", {name for name in held if ".egg-info/" not in name}, wanted | SDIST_EXTRAS)
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    shutil.unpack_archive(wheel, folder / "installed", format="zip")
    compare("wheel", {name for name in held if ".dist-info/" not in name}, {f"peculiar/{name}" for name in wanted})
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in held):
        sys.exit("build: the wheel has no licence")
    print(f"{sdist.name}, {wheel.name}: {len(wanted)} files, as in the tree")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
