"""The commands by which the controller builds uWSGI for a host of another kind, run with a compiler that only tells."""

import shlex
import subprocess
import tarfile
from pathlib import Path

import jinja2
import pytest

TEMPLATES = Path(__file__).resolve().parents[2] / "roles/uwsgi/templates"
CROSS = {"python": "2.7", "prefix": "/usr", "library": "libpython2.7.so.1.0"}
HOST = {"usr/include/python2.7/Python.h": "", "usr/lib64/libpython2.7.so.1.0": "", "usr/lib64/libz.so.1": "library"}
TOOLCHAIN = {
    "arch": "x86_64",
    "options": "-mcpu=baseline",
    "place": "@place@",
    "headers_dir": "/my/headers",
    "cross": {
        "includes": ["@place@/sysroot/usr/include"],
        "libraries": ["@place@/sysroot/usr/lib64", "@place@/sysroot/lib64"],
    },
}
ZIG = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


class Bag:
    """What a build brings, in a folder of the test's."""

    def __init__(self, folder, cross):
        self.folder = folder
        self.variables = {
            "__uwsgi_bag": str(folder),
            "__uwsgi_cross": cross,
            "__uwsgi_found": {"glibc": "2.17"},
            "__uwsgi_planned": {"plan": {"toolchain": TOOLCHAIN}},
        }
        for part in ("sysroot", "headers", "bin", "zig/ziglang"):
            (folder / part).mkdir(parents=True)
        (folder / "zig/ziglang/zig").write_text(ZIG)
        (folder / "zig/ziglang/zig").chmod(0o755)

    def bring(self, files, links=()):
        with tarfile.open(self.folder / "headers/host.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                path = self.folder / "file"
                path.write_text(text)
                archive.add(path, name)
            for name, target in links:
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                archive.addfile(link)

    def run(self, template, *words, name=None):
        environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
        environment.filters["quote"] = shlex.quote
        script = self.folder / "bin" / (name or template)
        script.write_text(
            environment.from_string((TEMPLATES / f"{template}.j2").read_text()).render(
                ansible_managed="managed", **self.variables
            )
        )
        script.chmod(0o755)
        return subprocess.run([str(script), *words], check=False, capture_output=True, text=True, cwd=self.folder)


@pytest.fixture
def bag(tmp_path):
    return lambda **cross: Bag(tmp_path, {**CROSS, **cross})


def test_libraries_are_found_by_what_the_linker_asks_for(bag):
    there = bag()
    # As they lie on a host without headers, as a package of headers names another release of one, and by a whole path.
    links = [("usr/lib64/libz.so", "libz.so.1.2.7"), ("usr/lib64/libm.so.1", "/usr/lib64/libz.so.1")]
    there.bring(HOST, [*links, ("usr/lib64/libgone.so", "libgone.so.7")])
    ran = there.run("cross-headers")
    assert (ran.returncode, ran.stderr) == (0, "")
    folder = there.folder / "sysroot/usr/lib64"
    assert (folder / "libz.so").resolve() == folder / "libz.so.1"
    assert (folder / "libm.so").resolve() == folder / "libz.so.1"
    assert not (folder / "libgone.so").is_symlink()
    known = there.folder / "sysroot/.python"
    assert (known / "include").resolve() == there.folder / "sysroot/usr/include/python2.7"
    assert (known / CROSS["library"]).resolve() == folder / CROSS["library"]


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        ("usr/include/python2.7/Python.h", "/my/headers (uwsgi_headers_dir) has no Python.h of Python 2.7; put the"),
        ("usr/lib64/libpython2.7.so.1.0", "/my/headers (uwsgi_headers_dir) has no libpython2.7.so.1.0, which uWSGI is"),
    ],
)
def test_what_is_missing_of_the_hosts_python_is_said_before_anything_is_compiled(bag, lacks, says):
    there = bag()
    there.bring({name: text for name, text in HOST.items() if name != lacks})
    ran = there.run("cross-headers")
    assert ran.returncode == 3
    assert says in ran.stdout


def test_the_compiler_sees_nothing_of_the_controllers_own(bag):
    there = bag()
    there.bring(HOST)
    there.run("cross-headers")
    words = ["-c", "-o", "a b.o", "-I.", "-I/usr/include/python3.11", "-L/usr/lib", "x.c"]
    told = there.run("cross-cc", *words).stdout.splitlines()
    assert told[:3] == ["cc", "-target", "x86_64-linux-gnu.2.17"]
    assert [word for word in words if word in told] == ["-c", "-o", "a b.o", "-I.", "x.c"]
    library = str(there.folder / "sysroot/.python/libpython2.7.so.1.0")
    # Python 2's own structures alias one another.
    assert "-fno-strict-aliasing" in told and library not in told
    told = there.run("cross-cc", "-o", "uwsgi", "x.o", "-lz").stdout.splitlines()
    assert library in told and f"-L{there.folder}/sysroot/usr/lib64" in told
    assert not any(word.startswith("-Wl,-rpath") for word in told)
    assert there.run("cross-cc", "-dumpfullversion", "-dumpversion").stdout == "4.9\n"


def test_a_python_in_a_place_of_its_own_is_found_there_by_the_loader(bag):
    there = bag(python="3.8", prefix="/opt/py", library="libpython3.8.so.1.0")
    told = there.run("cross-cc", "-o", "uwsgi", "x.o").stdout.splitlines()
    assert "-Wl,-rpath,/opt/py/lib64" in told and "-fno-strict-aliasing" not in told


def test_where_libraries_are_the_hosts_package_says_or_nobody(bag):
    there = bag()
    there.bring({**HOST, "usr/bin/pcre-config": "#!/bin/sh\necho -lpcre $1\n", "usr/bin/pkg-config": "#!/bin/sh\n"})
    there.run("cross-headers")
    for file in (there.folder / "sysroot/usr/bin").iterdir():
        file.chmod(0o755)
    assert there.run("cross-config", "--libs", name="pcre-config").stdout == "-lpcre --libs\n"
    for name in ("pcre2-config", "pkg-config"):
        assert there.run("cross-config", "--libs", name=name).returncode == 1
