"""Name functions of more than 40 code lines and files of more than 400 lines: a hint for the next reader, no failure.

A code line is one that holds code: docstrings, comments and blank lines do not count. Run from the repository's root.
"""

import ast
import io
import subprocess
import tokenize
from pathlib import Path

FUNCTION_LINES, FILE_LINES = 40, 400
SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> set[int]:
    """Line numbers that hold code."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            held.update(range(token.start[0], token.end[0] + 1))
    return held


def long_functions(source: str) -> list[tuple[int, str, int]]:
    """Line, name and length of each function that is too long."""
    code, found = code_lines(source), []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            span = code & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            if ast.get_docstring(node) is not None:
                text = node.body[0]
                span -= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
            if len(span) > FUNCTION_LINES:
                found.append((node.lineno, node.name, len(span)))
    return found


if __name__ == "__main__":
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.py"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for path in filter(Path.is_file, map(Path, filter(None, names.split("\0")))):
        text = path.read_text(encoding="utf-8")
        if (length := len(text.splitlines())) > FILE_LINES:
            print(f"hint: {path}: {length} lines (over {FILE_LINES})")
        for line, name, length in long_functions(text):
            print(f"hint: {path}:{line}: {name} has {length} code lines (over {FUNCTION_LINES})")
