# -*- coding: utf-8 -*-
"""Why a build by pip failed, out of what pips of several ages print (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import build_failure, causes

PIP_9 = """Building wheels for collected packages: cpkg
  Running setup.py bdist_wheel for cpkg: started
  Running setup.py bdist_wheel for cpkg: finished with status 'error'
  Complete output from command /v/bin/python -u -c "import setuptools, tokenize;__file__='/tmp/pip-build-x/setup.py'":
  running bdist_wheel
  building 'cpkg' extension
  %s

  ----------------------------------------
  Failed building wheel for cpkg
  Running setup.py clean for cpkg
Failed to build cpkg
Installing collected packages: cpkg
  Running setup.py install for cpkg: started
    Running setup.py install for cpkg: finished with status 'error'
    Complete output from command /v/bin/python -u -c "import setuptools, tokenize" install --record /tmp/r.txt:
    running install
    %s

    ----------------------------------------
Command "/v/bin/python -u -c "import setuptools, tokenize" install" failed with error code 1 in /tmp/pip-build-x/cpkg/
"""
PIP_20 = """Building wheels for collected packages: cpkg
  Building wheel for cpkg (setup.py): finished with status 'error'
  ERROR: Command errored out with exit status 1:
   command: /v/bin/python -u -c 'import sys, setuptools, tokenize; sys.argv[0] = '"'"'/tmp/pip-req-build-g/setup.py'"'"'
       cwd: /tmp/pip-req-build-g/
  Complete output (6 lines):
  running bdist_wheel
  %s
  ----------------------------------------
  ERROR: Failed building wheel for cpkg
  Running setup.py clean for cpkg
Failed to build cpkg
    ERROR: Command errored out with exit status 1:
    Complete output (2 lines):
    running install
    %s
    ----------------------------------------
ERROR: Command errored out with exit status 1: /v/bin/python -u -c 'x' Check the logs for full command output.
ERROR: Failed to build one or more wheels
"""
PIP_23 = """Processing /tmp/cpkg
  Building wheel for cpkg (pyproject.toml): finished with status 'error'
  error: subprocess-exited-with-error

  × Building wheel for cpkg (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [10 lines of output]
      running bdist_wheel
      %s
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for cpkg
Failed to build cpkg
ERROR: Could not build wheels for cpkg, which is required to install pyproject.toml-based projects
"""
PIP_22 = """  error: subprocess-exited-with-error
  │ %s
note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

× Encountered error while generating package metadata.
╰─> See above for output.
hint: See above for details.
"""
AGES = {"9": PIP_9, "20": PIP_20, "22": PIP_22, "23": PIP_23}


def output(age, *lines):
    text = AGES[age]
    start = [line for line in text.splitlines() if "%s" in line][0].index("%s")
    told = ("\n" + " " * start).join(lines)
    return text % ((told,) * text.count("%s"))


SECOND = "error: command 'gcc' failed with exit status 1"
GCC = "the host has no C compiler (gcc); install gcc"
WHY = [
    (["Exception: you need a C compiler to build uWSGI"], 0, "the host has no C compiler; install gcc"),
    (["unable to execute 'gcc': No such file or directory", SECOND], 0, GCC),
    (["unable to execute gcc: No such file or directory", SECOND], 0, GCC),
    (["error: command 'gcc' failed: No such file or directory"], 0, GCC),
    (["error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory"], 0, "(x86_64-linux-gnu-gcc)"),
    (["error: [Errno 2] No such file or directory: 'gcc'"], 0, GCC),
    (["FileNotFoundError: [Errno 2] No such file or directory: 'cc'"], 0, "(cc)"),
    (["configure: error: no acceptable C compiler found in $PATH", "See `config.log' for more"], 0, "no C compiler;"),
    (["../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]"], 0, "no C compiler;"),
    (["No CMAKE_CXX_COMPILER could be found.", "CalledProcessError: Command 'x' returned non-zero"], 0, "C compiler"),
    (["gcc: error trying to exec 'cc1plus': execvp: No such file or directory", SECOND], 0, "gcc-c++"),
    (["gcc: fatal error: cannot execute 'cc1': execvp: No such file or directory", SECOND], 0, "no C compiler (cc1)"),
    (
        ["cpkg.c:1:10: fatal error: Python.h: No such file or directory", "compilation terminated.", SECOND],
        0,
        "headers of its Python (Python.h); install the package python3-dev",
    ),
    (["x.c:1:20: fatal error: ffi.h: No such file or directory", SECOND], 0, "libffi-dev on Debian, libffi-devel on"),
    (["x.c:1:1: fatal error: openssl/ssl.h: No such file or directory", SECOND], 0, "openssl-devel"),
    (["x.c:1:1: fatal error: sys/capability.h: No such file or directory", SECOND], 0, "libcap-devel"),
    (["x.c:1:1: fatal error: stdio.h: No such file or directory", SECOND], 0, "glibc-devel"),
    (["x.c:1:1: fatal error: own/thing.h: No such file or directory", SECOND], 0, "the package with it"),
    (["x.c:1:10: fatal error: 'Python.h' file not found", "1 error generated.", SECOND], 0, "python3-devel"),
    (["/usr/bin/ld: cannot find -lpq", "collect2: error: ld returned 1 exit status", SECOND], 0, "no library pq"),
    (["error: unable to find dynamic system library 'jansson' using strategy 'paths_first'."], 0, "no library jansson"),
    (["x.c:7:10: fatal error: 'crypt.h' file not found", SECOND], 0, "libcrypt-dev"),
    (["Error: pg_config executable not found.", "", "pg_config is required to build psycopg2"], 0, "libpq-dev"),
    (["/bin/sh: 1: mysql_config: not found", "Exception: Can not find valid pkg-config name."], 1, "mariadb-devel"),
    (["error: can't find Rust compiler"], 0, "a Rust compiler; install it, or write a release of which"),
    (["error: invalid command 'bdist_wheel'"], 0, "setuptools or wheel"),
    (["ModuleNotFoundError: No module named 'setuptools'"], 0, "setuptools or wheel"),
    (["x.c:9:5: error: expected ';' before '}' token", SECOND], 0, ""),
    (["Traceback (most recent call last):", '  File "setup.py", line 3', "KeyError: 'VERSION'"], 2, ""),
    # What a build goes on without is not why it failed.
    (["x.c:1:1: fatal error: yaml.h: No such file or directory", "KeyError: 'VERSION'"], 1, ""),
    ([SECOND], 0, ""),
]


@pytest.mark.parametrize("age", sorted(AGES))
@pytest.mark.parametrize("lines, number, cure", WHY)
def test_the_line_that_says_why_and_what_to_install(age, lines, number, cure):
    said = output(age, *lines)
    assert build_failure.cause(said) == lines[number]
    found = build_failure.missing(said)
    assert cure in found and bool(cure) == bool(found)


@pytest.mark.parametrize(
    "said, why",
    [
        (
            "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\n"
            "ERROR: No matching distribution found for x\nWARNING: You are using pip version 20.3.4",
            "ERROR: No matching distribution found for x",
        ),
        ("  error: subprocess-exited-with-error\n  note: x\nerror: metadata-generation-failed", "error: metadata-gen"),
        # Of what a build is built with, an index may lack something.
        (
            "  error: subprocess-exited-with-error\n      ERROR: Could not find a version of setuptools>=40\n"
            "      ERROR: No matching distribution found for setuptools>=40\n      [end of output]\n"
            "error: subprocess-exited-with-error",
            "ERROR: No matching distribution found for setuptools>=40",
        ),
        ("Collecting flask\nkilled", ""),
        ("", ""),
    ],
)
def test_without_a_build_pips_own_line_counts(said, why):
    assert build_failure.cause(said).startswith(why) and bool(build_failure.cause(said)) == bool(why)
    assert build_failure.missing(said) == ""


@pytest.mark.parametrize("age", sorted(AGES))
def test_one_cause_in_several_applications_is_told_once_with_the_cure(age):
    def failed(name):
        words = ["/srv/wsgi/%s/venvs/0123456789ab/bin/python" % name, "-m", "pip", "install", "cpkg"]
        more = ["filler %d" % number for number in range(30)]
        said = output(age, "unable to execute 'gcc': No such file or directory", *(more + [SECOND]))
        return name, build_failure.message(words, 1, said, "requirements")

    said = causes.message([failed("one"), failed("two")])
    first, last = said.splitlines()[0], said.splitlines()[-1]
    assert first.startswith("one, two: ") and first.count("unable to execute 'gcc': No such file or directory") == 1
    # What pip itself says is no second cause.
    assert "ERROR" not in first
    assert last.startswith("requirements: the host has no C compiler (gcc)") and "wheel" in last
    assert said.count("requirements: ") == 1


def test_the_message_of_a_command_without_a_known_cause_is_as_it_was():
    assert build_failure.message(["a", "b"], 3, "x\ny\n") == "`a b` failed (status 3):\nx\ny"


def test_what_an_old_pip_left_to_its_log_is_told_from_there():
    said = "ERROR: Command errored out with exit status 1: x Check the logs for full command output."
    log = "\n".join(
        "2026-11-28T08:54:50,633 " + line
        for line in (
            "  x.c:7:10: fatal error: 'crypt.h' file not found",
            "  1 error generated.",
            "ERROR: Command errored out with exit status 1: x Check the logs for full command output.",
        )
    )
    text = build_failure.whole(said, log)
    assert build_failure.cause(text) == "x.c:7:10: fatal error: 'crypt.h' file not found"
    assert "libcrypt-dev" in build_failure.missing(text)
    # pip 20.3 says neither where the build's output is, nor any of it.
    quiet = "  ERROR: Failed building wheel for x\nFailed to build x\nERROR: Failed to build one or more wheels"
    told = "\n".join([log, "2026-11-28T08:54:51,001 CommandError: Failed to build one or more wheels"])
    assert build_failure.cause(build_failure.whole(quiet, told)) == "x.c:7:10: fatal error: 'crypt.h' file not found"
    # A pip that says it itself, or a log that holds nothing, changes nothing.
    assert build_failure.whole("error: x", log) == "error: x"
    assert build_failure.whole(said, "") == said
