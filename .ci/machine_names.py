"""Refuse text that only means something on one machine: absolute home and work folders, hosts of package registries.

Such a name in a lock file or a script works for its author and for nobody else. Run from the repository's root; reads
every file that git would commit.
"""

import re
import subprocess
import sys
from pathlib import Path

# Written so that the patterns do not match themselves.
FORBIDDEN = {
    "a package registry's host": re.compile(
        r"py[p]i\.(org|python)|python[h]osted\.org|registry\.npm[j]s|deb\.deb[i]an\.org|artif[a]ctory|file://[/]"
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(work|root|home|Users)/(?=[\w.])"),
    "an address of a private network": re.compile(r"\b(10(\.\d{1,3}){3}|192\.168(\.\d{1,3}){2})\b"),
}


def committed() -> list[Path]:
    """Files that git holds, or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [path for path in map(Path, filter(None, names.split("\0"))) if path.is_file()]


def findings(path: Path) -> list[str]:
    """What is wrong in one file, as lines of `path:line: message`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    return [
        f"{path}:{number}: {what}: {found.group()}"
        for number, line in enumerate(lines, start=1)
        for what, pattern in FORBIDDEN.items()
        if (found := pattern.search(line))
    ]


if __name__ == "__main__":
    wrong = [finding for path in committed() for finding in findings(path)]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))
