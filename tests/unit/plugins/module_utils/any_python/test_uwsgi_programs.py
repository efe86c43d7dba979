"""uWSGI is found by its program where procname has replaced the words of its command."""

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, stack_files, uwsgi_programs

MAPS = b"7f00-7f01 r--p 00000000 08:01 12   /usr/lib/x86_64-linux-gnu/libc.so.6\n"
PYUWSGI = b"7f02-7f03 r-xp 00001000 08:01 13   /srv/v/lib/pyuwsgi.cpython-311-x86_64-linux-gnu.so\n"


@pytest.mark.parametrize(
    ("words", "exe", "maps", "found"),
    [
        (["uwsgi", "a.ini"], None, b"", True),
        (["my shop"], "/opt/uwsgi/bin/uwsgi", b"", True),
        (["uWSGI master"], "/usr/bin/uwsgi-core", b"", True),
        (["my shop"], "/usr/bin/python3.11", MAPS + PYUWSGI, True),
        (["my shop"], "/usr/bin/python3.11", MAPS, False),
        (["my shop"], "/usr/bin/shop", PYUWSGI, False),
        (["vi", "uwsgi.ini"], "/usr/bin/vi", b"", False),
        ([], None, b"", False),
    ],
    ids=["words", "title", "core", "module", "python", "other", "editor", "kernel"],
)
def test_a_process_is_judged_by_its_words_and_by_its_program(words, exe, maps, found, monkeypatch):
    monkeypatch.setattr(procfs, "executable", lambda pid: exe)
    monkeypatch.setattr(procfs, "read", lambda path: maps)
    assert uwsgi_programs.runs(7, words) is found


def test_a_title_is_told_from_a_command():
    assert uwsgi_programs.has_title(["my shop"]) and uwsgi_programs.has_title(["uWSGI master"])
    assert not uwsgi_programs.has_title(["/opt/uwsgi/bin/uwsgi", "a.ini"])
    assert not uwsgi_programs.has_title(["/usr/bin/python3", "-m", "pyuwsgi", "a.ini"])


def test_the_import_tells_of_a_master_that_has_a_title(monkeypatch):
    master = {"pid": 7, "kind": "uwsgi", "command": ["my", "shop"], "folder": "", "folders": [""], "by": None, "uid": 0}
    monkeypatch.setattr(stack_files, "processes", lambda: [master])
    told = stack_files.host([])["messages"]
    assert [text for text in told if text.startswith("process 7: uWSGI, which calls itself my shop")]
