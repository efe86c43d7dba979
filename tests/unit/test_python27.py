"""Code that runs on hosts is Python 2.7's as well; a Python 2.7, where there is one, compiles it for proof."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST_CODE = sorted(
    path
    for folder in ("plugins/modules", "plugins/module_utils", "tests/unit/plugins/module_utils/any_python")
    for path in (ROOT / folder).rglob("*.py")
)
HEADER = ["absolute_import", "division", "print_function"]

# Nodes that have no Python 2.7 form at all.
UNKNOWN = (
    ast.AnnAssign, ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith, ast.Await, ast.FormattedValue, ast.JoinedStr,
    ast.Match, ast.MatMult, ast.NamedExpr, ast.Nonlocal, ast.YieldFrom,
)  # fmt: skip
# Names that came with Python 3; using one fails only when its line is reached, so a compiler does not help.
NEW_NAMES = {
    "BlockingIOError", "ChildProcessError", "ConnectionError", "FileExistsError", "FileNotFoundError",
    "InterruptedError", "IsADirectoryError", "ModuleNotFoundError", "NotADirectoryError", "PermissionError",
    "ProcessLookupError", "RecursionError", "TimeoutError", "breakpoint", "ascii",
}  # fmt: skip
NEW_ATTRIBUTES = {
    "os": {"fsencode", "fsdecode", "replace", "scandir", "get_terminal_size", "posix_spawn", "cpu_count"},
    "shutil": {"which", "disk_usage", "chown"},
    "subprocess": {"run", "DEVNULL"},
    "time": {"monotonic", "perf_counter"},
    "tempfile": {"TemporaryDirectory"},
    "contextlib": {"suppress", "ExitStack"},
    "re": {"fullmatch"},
    "stat": {"filemode"},
}
NEW_KEYWORDS = {
    "exist_ok", "follow_symlinks", "dir_fd", "encoding", "errors", "flush", "capture_output", "start_new_session",
    "missing_ok", "dirs_exist_ok", "default_factory", "strict",
}  # fmt: skip
NEW_MODULES = {
    "asyncio", "concurrent", "contextvars", "dataclasses", "enum", "functools.lru_cache", "http", "importlib.metadata",
    "importlib.resources", "ipaddress", "lzma", "pathlib", "queue", "secrets", "selectors", "shlex.quote", "statistics",
    "typing", "urllib.request", "urllib.parse", "urllib.error", "unittest.mock", "zoneinfo",
}  # fmt: skip


def too_new(text):
    """[(line, what)] of everything in a source text that Python 2.7 does not have."""
    found = []
    tree = ast.parse(text)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)

        def say(what, line=line):
            found.append((line, what))

        if isinstance(node, UNKNOWN):
            say(type(node).__name__)
        elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
            arguments = node.args
            if arguments.kwonlyargs or arguments.posonlyargs:
                say("keyword-only or positional-only arguments")
            every = arguments.args + [arg for arg in (arguments.vararg, arguments.kwarg) if arg]
            if getattr(node, "returns", None) or any(arg.annotation for arg in every):
                say("annotation")
        elif isinstance(node, ast.Raise) and node.cause is not None:
            say("raise from")
        elif isinstance(node, ast.ClassDef) and node.keywords:
            say("class keywords")
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            if any(isinstance(item, ast.Starred) for item in node.elts):
                say("starred")
        elif isinstance(node, ast.Dict) and None in node.keys:
            say("unpacking in a mapping")
        elif isinstance(node, ast.Call):
            # At most one *a, with nothing without a name behind it, and at most one **a, at the end.
            if any(isinstance(item, ast.Starred) for item in node.args[:-1]):
                say("more than one, or not the last, *argument")
            if any(keyword.arg is None for keyword in node.keywords[:-1]):
                say("more than one, or not the last, **argument")
            for keyword in node.keywords:
                if keyword.arg in NEW_KEYWORDS and not is_codec(node) and not is_io_open(node):
                    say(f"keyword {keyword.arg}")
            if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
                say("super() without arguments")
        elif isinstance(node, ast.Name) and node.id in NEW_NAMES:
            say(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NEW_ATTRIBUTES.get(node.value.id, ()):
                say(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name in NEW_MODULES or name.name.split(".")[0] in NEW_MODULES:
                    say(f"import {name.name}")
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                if {node.module, node.module.split(".")[0], f"{node.module}.{name.name}"} & NEW_MODULES:
                    say(f"from {node.module} import {name.name}")
    if not text.isascii() and "coding: utf-8" not in "\n".join(text.splitlines()[:2]):
        found.append((1, "not ASCII, and no coding line"))
    return sorted(found)


def is_io_open(call):
    """io.open takes an encoding in Python 2.7 too."""
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "io.open"


def is_codec(call):
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("encode", "decode")


def header_missing(text):
    """What the header lacks: the future imports, and new-style classes everywhere."""
    tree = ast.parse(text)
    futures = [
        [name.name for name in node.names]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    new_style = any(ast.unparse(node) == "__metaclass__ = type" for node in tree.body)
    return ([] if futures == [HEADER] else ["future imports"]) + ([] if new_style else ["__metaclass__"])


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="session")
def python27():
    """A Python 2.7 of this machine that runs, or None; a shim may be there without one behind it."""
    found = [shutil.which("python2.7"), *Path.home().glob(".pyenv/versions/2.7*/bin/python2.7")]
    works = [path for path in found if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]
    return next(iter(works), None)


@pytest.mark.parametrize("path", HOST_CODE, ids=relative)
def test_host_code_is_python_27s(path, python27):
    assert too_new(path.read_text()) == []
    if python27:
        program = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')"
        done = subprocess.run([python27, "-c", program, path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", [path for path in HOST_CODE if path.is_relative_to(ROOT / "plugins")], ids=relative)
def test_host_code_has_the_header(path):
    assert header_missing(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "f'{x}'",
        "x: int = 1",
        "def f(x: int): pass",
        "def f() -> int: pass",
        "def f(*args: int): pass",
        "def f(*, x): pass",
        "def f(x, /): pass",
        "f = lambda *, x: 1",
        "def f():\n    x = 1\n    def g():\n        nonlocal x",
        "if (x := 1): pass",
        "raise X from None",
        "async def f(): pass",
        "def f():\n    yield from x",
        "class A(metaclass=B): pass",
        "class A:\n    def f(self):\n        super().f()",
        "a, *b = c",
        "[*a]",
        "{**a}",
        "f(*a, *b)",
        "f(**a, **b)",
        "f(*a, b)",
        "a @ b",
        "match x:\n    case 1: pass",
        "os.makedirs(x, exist_ok=True)",
        "open(x, encoding='utf-8')",
        "os.replace(a, b)",
        "try: pass\nexcept FileNotFoundError: pass",
        "from pathlib import Path",
        "import urllib.request",
        "x = 'ö'",
    ],
)
def test_the_check_sees(text):
    assert too_new(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "f(*args, **kwargs)",
        "f(a, b=1, *args, **kwargs)",
        "def f(a, b=1, *args, **kwargs): pass",
        "x = {a: b for a, b in c}",
        "x = {1, 2}",
        "class A(object):\n    def f(self):\n        super(A, self).f()",
        "with open(x) as a, open(y) as b: pass",
        "raise X('a')",
        "io.open(x, encoding='utf-8')",
        "# -*- coding: utf-8 -*-\nx = u'ö'",
        "x.decode('utf-8', errors='replace')",
    ],
)
def test_the_check_leaves_alone(text):
    assert too_new(text) == []


def test_the_header_check_sees():
    assert header_missing("import os") == ["future imports", "__metaclass__"]
    assert header_missing("from __future__ import annotations\n__metaclass__ = type") == ["future imports"]
