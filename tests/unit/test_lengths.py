"""No function of plugins/ is longer or deeper than a reader can hold in mind."""

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try)
LINES, LEVELS = 60, 5
FILES = {str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py")}


def levels(node, level=0):
    """How many blocks lie within one another; an elif is as deep as its if, and a function within counts by itself."""
    found = level
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        found = max(found, levels(child, level + (isinstance(child, BLOCKS) and not is_elif)))
    return found


def too_much(text):
    """(name, lines, levels) of each function that has too many of either."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, FUNCTIONS)]
    sizes = [(node.name, node.end_lineno - node.lineno + 1, levels(node)) for node in functions]
    return [size for size in sizes if size[1] > LINES or size[2] > LEVELS]


def test_what_is_too_long_or_too_deep_is_found():
    deep = "def f():\n" + "".join("    " * level + "if x:\n" for level in range(1, 7)) + "    " * 7 + "pass\n"
    elifs = "def h():\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 8
    assert too_much(deep) == [("f", 8, 6)]
    assert too_much("def g():\n" + "    pass\n" * LINES) == [("g", LINES + 1, 0)]
    assert too_much("def g():\n" + "    pass\n" * (LINES - 1) + elifs) == []


@pytest.mark.parametrize("file", sorted(FILES))
def test_functions_are_short_and_flat(file):
    assert too_much((PLUGINS / file).read_text()) == []
