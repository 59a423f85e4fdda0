"""The house rules that no other tool checks: sizes, docstrings, words that mean unfinished work.

`python tools/check_house.py [ROOT]` prints each breach as `file:line: what` and exits with 1.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE = 400
MAX_FUNCTION = 60
PACKAGES = ("zones", "benchmarks", "tools", "bin")
UNFINISHED = re.compile(
    r"\bTODO\b|\bFIXME\b|\bXXX\b|\bHACK\b|NotImplementedError|\bfor now\b|\bsimplified\b|\bplaceholder\b"
    r"|/root/|/work/")
FORBIDDEN_FILES = {"utils.py", "helpers.py", "common.py", "misc.py"}
TOO_WIDE = {"Exception", "BaseException"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def breaches(path: Path) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) for every rule that the file breaks."""
    text = path.read_text()
    lines = text.splitlines()
    if len(lines) > MAX_FILE:
        yield 1, f"{len(lines)} lines; {MAX_FILE} is the most"
    if path.name in FORBIDDEN_FILES:
        yield 1, f"{path.name} says nothing about what is in it"
    if path != Path(__file__).resolve():
        for number, line in enumerate(lines, 1):
            if found := UNFINISHED.search(line):
                yield number, f"«{found.group()}»"
    tree = ast.parse(text, str(path))
    if text.strip() and not ast.get_docstring(tree):
        yield 1, "the module has no docstring"
    yield from _in_scope(tree, public=True)
    yield from _swallowed(tree)


def _in_scope(scope: ast.AST, *, public: bool) -> Iterator[tuple[int, str]]:
    """Sizes of all functions below `scope`, and docstrings of those that are public."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield node.lineno, f"{node.name} has {length} lines; {MAX_FUNCTION} is the most"
            if public and not node.name.startswith("_") and not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"
            yield from _in_scope(node, public=False)
        elif isinstance(node, ast.ClassDef):
            visible = public and not node.name.startswith("_")
            if visible and not ast.get_docstring(node):
                yield node.lineno, f"class {node.name} has no docstring"
            yield from _in_scope(node, public=visible)
        else:
            yield from _in_scope(node, public=public)


def _swallowed(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Handlers of any error at all that do nothing with it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_empty(node.body) and (
                node.type is None or ast.unparse(node.type) in TOO_WIDE):
            yield node.lineno, "an exception is swallowed"


def _is_empty(body: list[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Pass | ast.Continue) for statement in body)


def files(root: Path) -> list[Path]:
    """The source files that the rules are for."""
    found = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    return sorted(found + [path for path in (root / "bin").glob("zone-*") if path.is_file()])


def main(root: Path) -> int:
    """Print every breach below `root`; 1 if there was one."""
    count = 0
    for path in files(root):
        for line, what in breaches(path):
            count += 1
            print(f"{path.relative_to(root)}:{line}: {what}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()))
