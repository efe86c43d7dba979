"""What binaries can do, read from real ones and from crafted ones, and what has become of those that run."""

from __future__ import absolute_import, division, print_function

import os
import shutil
import struct
import subprocess
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, procfs, safe_path, stack_programs

ASKED = {"names": [], "texts": [], "plugins": [], "folders": []}
# Of a uWSGI 2.0.31 on Debian 12 whose libjansson was replaced, and whose binary was removed, while it ran.
MAPS = b"""\
55d747e84000-55d747f16000 r-xp 0003c000 00:3e 4616226                    /root/e/uwsgi (deleted)
7f926d679000-7f926d67b000 r--p 00000000 00:3e 1633119                    \
/usr/lib/x86_64-linux-gnu/libjansson.so.4.14.0 (deleted)
7f926d67b000-7f926d684000 r-xp 00002000 00:3e 1633119                    \
/usr/lib/x86_64-linux-gnu/libjansson.so.4.14.0 (deleted)
7f926d726000-7f926d739000 r-xp 00003000 00:3e 1491927                    /usr/lib/x86_64-linux-gnu/libz.so.1.2.13
7f926d800000-7f926d801000 r-xp 00003000 00:3e 1491928                    /srv/a/current/lib/fast.so (deleted)
7f926d900000-7f926d901000 rw-s 00000000 00:01 1024                       /dev/zero (deleted)
7f926da00000-7f926da01000 rw-p 00000000 00:00 0
"""


def asked(**more):
    return dict(ASKED, **more)


@pytest.fixture
def folder(tmp_path):
    return os.path.realpath(str(tmp_path))


def crafted(texts, tables=(), order="<"):
    """An ELF file of one segment that holds texts, and a table of those that begin at ``tables``."""
    base = 0x400000
    body = b"\0" + b"".join(text + b"\0" for text in texts)
    body += b"\0" * (-len(body) % 8)
    pointers = b"".join(struct.pack(order + "Q", base + 120 + body.index(text + b"\0")) for text in tables)
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + b"\0" * 9
    head = ident + struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, base, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 120 + len(body) + len(pointers)
    return head + struct.pack(order + "IIQQQQQQ", 1, 4, 0, base, base, size, size, 8) + body + pointers


def write(path, data):
    with open(path, "wb") as target:
        target.write(data)
    os.chmod(path, 0o755)
    return path


def test_an_option_of_a_real_program_is_found_and_a_part_of_its_name_is_not():
    with open("/bin/ls", "rb") as source:
        data = source.read()
    assert elf.has_pointer(data, "almost-all") and elf.has_pointer(data, "recursive")
    # It stands there, as the end of another.
    assert b"most-all\0" in data and not elf.has_pointer(data, "most-all")
    assert not elf.has_pointer(data, "wsgi-file")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_text_that_no_table_names_is_no_option(order):
    data = crafted([b"log-route", b"wsgi-file", b"json"], [b"wsgi-file", b"log-route"], order)
    assert [elf.has_pointer(data, name) for name in ("log-route", "wsgi-file", "route", "json")] == [1, 1, 0, 0]


def test_garbage_is_an_error_or_an_answer():
    data = crafted([b"wsgi-file"], [b"wsgi-file"])
    for end in range(len(data)):
        try:
            elf.has_pointer(data[:end], "wsgi-file")
        except elf.ElfError:
            pass


def test_what_a_binary_lacks_is_told(folder):
    text = b"you need SSL"
    binary = write(folder + "/uwsgi", crafted([b"route", b"python_plugin", text], [b"route"]))
    told = stack_programs.about({binary: asked(names=["route", "https"], texts=["need SSL", "PCRE"])})[binary]
    assert (told["lacks"], told["texts"], told["libraries"]) == (["https"], ["need SSL"], [])


def test_a_plugin_is_built_in_or_a_file_and_brings_its_options(folder):
    binary = write(folder + "/uwsgi", crafted([b"python_plugin", b"/opt/lib/uwsgi/plugins", b"a"], [b"a"]))
    os.mkdir(folder + "/plugins")
    write(folder + "/plugins/gevent_plugin.so", crafted([b"gevent"], [b"gevent"]))
    one = asked(names=["a", "gevent"], plugins=["python3", "gevent", "erlang"], folders=[folder + "/plugins"])
    told = stack_programs.about({binary: one})[binary]
    assert (told["lacks"], told["missing"]) == ([], ["erlang"])
    assert told["plugin_folders"] == ["/opt/lib/uwsgi/plugins"]


def test_a_library_that_the_loader_does_not_find_is_told(folder):
    with open("/bin/ls", "rb") as source:
        data = source.read()
    assert b"libc.so.6" in data
    binary = write(folder + "/ls", data)
    gone = write(folder + "/gone", data.replace(b"libc.so.6", b"libc.so.7"))
    told = stack_programs.about({binary: ASKED, gone: ASKED})
    assert (told[binary]["libraries"], told[gone]["libraries"]) == ([], ["libc.so.7"])


def test_what_is_no_binary_is_unknown(folder):
    write(folder + "/script", b"#!/bin/sh\n")
    write(folder + "/short", b"\x7fELF")
    os.mkfifo(folder + "/fifo")
    paths = [folder + "/" + name for name in ("script", "short", "fifo", "nothing")]
    assert stack_programs.about(dict.fromkeys(paths, ASKED)) == {}


def test_a_binary_that_an_account_can_change_is_read_as_that_account(folder, monkeypatch):
    binary = write(folder + "/uwsgi", b"")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert stack_programs._owners(binary) <= set([os.getuid()])
    os.symlink("/bin/sh", folder + "/link")
    assert stack_programs._owners(folder + "/link") <= set([safe_path.NOBODY["uid"]])
    monkeypatch.setattr(stack_programs, "_owners", lambda path: set([12345]))
    assert stack_programs._reader(binary)["uid"] == 12345
    # A folder in which several accounts write tells of nobody.
    monkeypatch.setattr(stack_programs, "_owners", lambda path: set([12345, 12346]))
    assert stack_programs._reader(binary)["uid"] == safe_path.NOBODY["uid"]
    monkeypatch.setattr(stack_programs, "_owners", lambda path: set())
    assert stack_programs._reader(binary)["uid"] == 0


def test_a_file_that_everybody_may_write_is_read_as_nobody(folder):
    binary = write(folder + "/uwsgi", b"")
    if os.getuid() == 0:
        os.chmod(binary, 0o777)
        assert stack_programs._owners(binary) == set([safe_path.NOBODY["uid"]])
        os.chown(binary, 12345, 0)
        assert stack_programs._owners(binary) == set([12345])
        assert stack_programs._reader(binary)["uid"] == 12345
    else:
        assert stack_programs._reader(binary)["uid"] == 0


def test_an_account_that_keeps_root_waiting_is_not_asked_again(monkeypatch):
    calls = []

    def waits(*_args):
        calls.append(1)
        raise RuntimeError("a look with the rights of mallory took over 30 s")

    monkeypatch.setattr(stack_programs, "SECONDS", 0)
    monkeypatch.setattr(stack_programs, "_reader", lambda path: {"uid": 7, "gid": 7, "groups": []})
    monkeypatch.setattr(safe_path, "as_account", waits)
    assert stack_programs.about({"/a": ASKED, "/b": ASKED}) == {} and calls == [1]


def test_what_a_process_runs_that_is_no_longer_there_is_told(monkeypatch):
    monkeypatch.setattr(procfs, "executable", lambda pid: "/root/e/uwsgi")
    monkeypatch.setattr(os, "readlink", lambda path: "/root/e/uwsgi (deleted)")
    monkeypatch.setattr(procfs, "read", lambda path: MAPS if path.endswith("maps") else b"")
    assert stack_programs.running(7) == {
        "program": "/root/e/uwsgi",
        "gone": True,
        "old": ["/usr/lib/x86_64-linux-gnu/libjansson.so.4.14.0"],
        "loaded": ["libz.so.1.2.13"],
    }


def test_a_real_process_whose_binary_was_replaced(folder):
    binary = folder + "/sleep"
    shutil.copy("/bin/sleep", binary)
    process = subprocess.Popen([binary, "60"])
    try:
        for _time in range(100):
            if procfs.executable(process.pid) == binary:
                break
            time.sleep(0.05)
        assert stack_programs.running(process.pid)["gone"] is False
        os.unlink(binary)
        shutil.copy("/bin/sleep", binary)
        about = stack_programs.running(process.pid)
        assert (about["gone"], about["program"], about["old"]) == (True, binary, [])
        assert abs(stack_programs.last_read(process.pid) - time.time()) < 10
    finally:
        process.kill()
        process.wait()


def test_a_process_that_is_gone_is_no_error():
    assert stack_programs.running(2 ** 22 + 1) == {"program": "", "gone": False, "old": [], "loaded": []}
