"""What `requirements: auto` makes of lock files, held against what their own tools export of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files
from ansible_collections.graceful.wsgi.plugins.plugin_utils import lock_files, pep508_markers, requirements_auto
from ansible_collections.graceful.wsgi.plugins.plugin_utils.lock_files import LockError
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import choose

LOCKS = Path(__file__).parent / "locks"
CASES = sorted(path.name for path in LOCKS.iterdir() if path.is_dir())
SYSTEMS = {"linux": "Linux", "win32": "Windows"}
PLACES = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.4",
        "sys_platform": name,
        "platform_system": system,
    }
    for minor, (name, system) in itertools.product(range(9, 15), SYSTEMS.items())
]
PROJECT = '[project]\nname = "shop"\nversion = "1"\n'
PACKAGED = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
HASH = "sha256:" + "a" * 64


def found(case):
    read = auto_files.read(str(LOCKS / case), ["export.txt"])
    return choose(read["names"], read["texts"])


def lines(text):
    """{name and version or address: (marker, checksums)} of requirements."""
    told = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("."):
            continue
        if "#egg=" in line:
            line = "{1} @ {0}".format(*line.split("#egg="))
        words = line.split(" --hash=")
        requirement = Requirement(words[0].strip())
        name = f"{requirement.name} {requirement.specifier or requirement.url}"
        told[name] = (requirement.marker, {word.strip() for word in words[1:]})
    return told


def needed(marker, place):
    return marker is None or marker.evaluate(place)


@pytest.mark.parametrize("case", CASES)
def test_lock_pins_what_its_own_tool_exports(case):
    ours = lines("\n".join(found(case).lines))
    theirs = lines((LOCKS / case / "export.txt").read_text())
    own = next(name for name in auto_files.ORDER if (LOCKS / case / name).exists())
    for place in PLACES:
        if own == "Pipfile.lock" and place["python_version"] == "3.9":
            # It was locked on one Python only, of which there are others than the markers say.
            continue
        wanted = {name: hashes for name, (marker, hashes) in theirs.items() if needed(marker, place)}
        if case == "poetry-1.1" and place["python_version"] in ("3.11", "3.12"):
            # Its export loses what anyio needs below 3.13, of which the lock tells.
            wanted["typing-extensions ==4.16.0"] = ours["typing-extensions ==4.16.0"][1]
        assert {name: hashes for name, (marker, hashes) in ours.items() if needed(marker, place)} == wanted


@pytest.mark.parametrize("case", CASES)
def test_every_line_of_the_first_step_has_a_checksum(case):
    step = found(case).steps[0]
    assert step.hashed
    assert all(" --hash=sha256:" in line for line in step.lines)


@pytest.mark.parametrize("case", ["uv", "uv-pylock", "poetry", "pdm", "pdm-pylock"])
def test_project_with_a_build_backend_is_the_last_line(case):
    last = found(case).steps[-1]
    assert (last.lines[-1], last.hashed, found(case).local) == (".", False, True)


def test_members_of_a_workspace_and_commits_are_lines_without_checksums():
    step = found("uv-workspace").steps[1]
    assert step.lines == ["git+file:///srv/git/own@f8bd34f64100b4e7fd17784970583efd946b1322#egg=own-git", "./libs/own"]


def test_pipenv_installs_no_project_of_its_own():
    told = choose(["Pipfile.lock", "pyproject.toml"], {"Pipfile.lock": '{"default": {}}', "pyproject.toml": PACKAGED})
    assert told.steps == []


def test_order_is_that_of_the_documentation():
    names = list(auto_files.ORDER)
    texts = {}
    for case in ("uv", "poetry", "uv-pylock", "pdm", "pipenv"):
        texts.update((path.name, path.read_text()) for path in (LOCKS / case).iterdir())
    texts["pyproject.toml"] = (LOCKS / "poetry" / "pyproject.toml").read_text()
    while names:
        assert choose(names, texts).file == names[0]
        names.pop(0)


def test_requirements_file_is_taken_as_it_is():
    told = choose(["app.py", "requirements.txt", "pyproject.toml"], {"pyproject.toml": PROJECT + PACKAGED})
    assert (told.file, told.requirements, told.steps) == ("requirements.txt", "requirements.txt", [])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (PROJECT + PACKAGED, ["."]),
        (PROJECT + 'dependencies = ["flask>=3", "uvloop; python_version < \'3.14\'"]\n', None),
        (PROJECT, None),
        (PROJECT + PACKAGED + "[tool.uv]\npackage = false\n", None),
        (PROJECT + "[tool.uv]\npackage = true\n", ["."]),
        ("[tool.black]\n", None),
    ],
)
def test_project_without_a_lock(text, wanted):
    told = choose(["pyproject.toml"], {"pyproject.toml": text})
    if "dependencies" in text:
        wanted = ["flask>=3", "uvloop; python_version < '3.14'"]
    assert told.requirements == wanted
    assert bool(told.notes) == (wanted is None)


def test_nothing_found_is_told_with_what_would_have_been():
    told = choose(["app.py", "setup.py"], {})
    assert (told.file, told.requirements, told.steps) == ("", None, [])
    assert "uv.lock" in told.notes[0]
    assert 'write requirements: ["."]' in told.notes[0]


def test_code_that_runs_from_its_own_folder_gets_its_dependencies_only():
    read = auto_files.read(str(LOCKS / "uv"), ["export.txt"])
    told = choose(read["names"], read["texts"], in_place=True)
    assert not told.local
    assert "not installed" in told.notes[0]
    assert choose(["pyproject.toml"], {"pyproject.toml": PROJECT + PACKAGED}, in_place=True).requirements is None


def test_member_of_a_workspace_is_refused_for_code_that_runs_from_its_own_folder():
    read = auto_files.read(str(LOCKS / "uv-workspace"), ["export.txt"])
    with pytest.raises(LockError, match="own-lib from ./libs/own in the code, of which path would run an old copy"):
        choose(read["names"], read["texts"], in_place=True)


@pytest.mark.parametrize(
    ("names", "packaged"),
    [(["shop/"], False), (["shop"], True), (["src/shop"], True), (["shop.py"], True), (["app.py"], False)],
)
def test_poetry_project_without_a_module_of_its_name_is_not_installed(names, packaged):
    project = {"tool": {"poetry": {"name": "shop"}}, "build-system": {"build-backend": "poetry.core.masonry.api"}}
    assert requirements_auto.is_package(project, names) == packaged


def _uv(source, more=""):
    lock = 'version = 1\n[[package]]\nname = "shop"\nversion = "1"\nsource = { virtual = "." }\n'
    lock += 'dependencies = [{ name = "flask" }]\n'
    return lock + f'[[package]]\nname = "flask"\nversion = "3.1.2"\nsource = {{ {source} }}\n{more}\n'


@pytest.mark.parametrize(
    ("file", "text", "message", "hint"),
    [
        ("uv.lock", "= 1", "uv.lock cannot be read", "mend it"),
        ("uv.lock", "version = 2", "has the format 2, and 1 is known", "uv export"),
        ("uv.lock", "version = 1\npackage = 3", "has not the form that its tool writes", "lock anew"),
        ("uv.lock", _uv('registry = "https://index.test/simple"'), "no checksum of flask 3.1.2", "uv lock"),
        (
            "uv.lock",
            _uv('directory = "../flask"'),
            "takes flask from ../flask, which is outside the code",
            "into the code",
        ),
        ("uv.lock", _uv('path = "/srv/flask.whl"'), "takes flask from /srv/flask.whl", "into the code"),
        ("uv.lock", _uv('git = "https://git.test/flask?rev=main"'), "pins no commit of flask", "lock anew"),
        ("uv.lock", _uv('url = "https://x.test/a b"'), "in a form that no requirement can have", "uv lock"),
        ("poetry.lock", '[metadata]\nlock-version = "3.0"', "format 3.0, and 1 and 2 are known", "poetry lock"),
        ("pdm.lock", "[metadata]\nstrategy = []", "does not tell which packages are whose", "inherit_metadata"),
        ("pylock.toml", 'lock-version = "2.0"', "format 2.0, and 1 is known", "lock anew"),
        ("Pipfile.lock", "{", "Pipfile.lock cannot be read", "mend it"),
        ("Pipfile.lock", '{"default": {"flask": {"version": "*"}}}', "pins no version of flask", "pipenv lock"),
        ("Pipfile.lock", '{"default": {"flask": {"version": "==3"}}}', "no checksum of flask 3", "pipenv lock"),
        ("Pipfile.lock", '{"default": []}', "has not the form that its tool writes", "lock anew"),
        (
            "Pipfile.lock",
            '{"default": {"flask": {"version": "==3", "markers": "os_name == \'x --index-url=y\'"}}}',
            "has not the form",
            "lock anew",
        ),
        (
            "pyproject.toml",
            PROJECT + 'dynamic = ["dependencies"]',
            "leaves the dependencies to its build backend",
            "requirements:",
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\nflask = "^3"', "in Poetry's own form", "poetry lock"),
    ],
)
def test_refusal_says_what_was_seen_and_what_to_do(file, text, message, hint):
    with pytest.raises(LockError) as raised:
        choose([file], {file: text})
    assert message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            'git = "https://git.test/flask?subdirectory=py&rev=main#0123456789abcdef"',
            "flask @ git+https://git.test/flask@0123456789abcdef#subdirectory=py",
        ),
        ('directory = "libs/flask"', "./libs/flask"),
    ],
)
def test_source_of_a_package_without_checksums(source, line):
    assert choose(["uv.lock"], {"uv.lock": _uv(source)}).lines == [line]


def test_archive_at_an_address_or_in_the_code_keeps_its_checksum():
    text = _uv(
        'url = "https://x.test/flask.whl"', f'wheels = [{{ url = "https://x.test/flask.whl", hash = "{HASH}" }}]'
    )
    assert choose(["uv.lock"], {"uv.lock": text}).lines == [f"flask @ https://x.test/flask.whl --hash={HASH}"]
    text = _uv('path = "wheels/flask.whl"', f'wheels = [{{ filename = "flask.whl", hash = "{HASH}" }}]')
    told = choose(["uv.lock"], {"uv.lock": text})
    assert (told.lines, told.steps[0].hashed, told.local) == ([f"./wheels/flask.whl --hash={HASH}"], True, True)


def test_old_lock_with_two_releases_of_a_package_is_refused():
    packages = "".join(f'[[package]]\nname = "flask"\nversion = "{number}"\n' for number in (2, 3))
    project = {"tool": {"poetry": {"dependencies": {"flask": "*"}}}}
    with pytest.raises(LockError, match="has several releases of flask"):
        lock_files.poetry(packages + '[metadata]\nlock-version = "2.0"', project)


def test_digest_is_that_of_the_lines_and_not_of_the_lock():
    read = auto_files.read(str(LOCKS / "uv"), ["export.txt"])
    one = choose(read["names"], read["texts"])
    texts = {**read["texts"], "uv.lock": read["texts"]["uv.lock"].replace("revision", "# a comment\nrevision")}
    assert choose(read["names"], texts).digest == one.digest
    texts = {**read["texts"], "uv.lock": read["texts"]["uv.lock"].replace("3.20", "3.21")}
    assert choose(read["names"], texts).digest != one.digest


def test_index_beside_the_usual_one_is_told_without_its_password():
    pins = [
        lock_files.Pin(name, pep508_markers.ALWAYS, "1", {HASH}, index=index)
        for name, index in [
            ("a", "https://index.test"),
            ("b", "https://index.test"),
            ("c", "https://u:secret@own.test/x"),
        ]
    ]
    notes = requirements_auto._indexes("uv.lock", lock_files.Lock(pins))
    assert len(notes) == 1
    assert "takes c from https://own.test/x" in notes[0]


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        (">=3.9", ["3.9", "3.14"], ["3.8", "2.7"]),
        ("^3.9", ["3.9", "3.14"], ["3.8", "4.0"]),
        ("~3.9", ["3.9"], ["3.8", "3.10"]),
        ("~2.7 || ^3.6", ["2.7", "3.6"], ["3.5"]),
        (">=3.9.2,<3.13", ["3.9", "3.12"], ["3.8", "3.13"]),
        ("3.9.*", ["3.9"], ["3.10"]),
        ("!=3.9.*", ["3.10"], ["3.9"]),
        (">=2.7, !=3.0.*, !=3.1.*", ["2.7", "3.9"], ["3.1"]),
        ("*", ["2.7"], []),
    ],
)
def test_python_that_a_lock_was_not_made_for_is_told(constraint, right, wrong):
    told = requirements_auto.Found("poetry.lock", python=pep508_markers.of_python(constraint))
    assert [requirements_auto.wrong_python(told, python) for python in right] == [None] * len(right)
    for python in wrong:
        assert "poetry.lock is for another Python (" in requirements_auto.wrong_python(told, python)


MARKERS = [
    "python_version < '3.11'",
    "sys_platform == 'win32' or python_version >= \"3.10\" and sys_platform != 'win32'",
    "(sys_platform == 'win32' or python_version >= '3.10') and platform_system in 'Linux Windows'",
    "'win' not in sys_platform and (python_full_version ~= '3.9.1' or python_version == '3.12')",
]


@pytest.mark.parametrize(("one", "other"), list(itertools.product(MARKERS, MARKERS)))
def test_joined_markers_hold_where_both_or_either_hold(one, other):
    first, second = pep508_markers.parse(one), pep508_markers.parse(other)
    for place in PLACES:
        held = [Marker(text).evaluate(place) for text in (one, other)]
        told = pep508_markers.text(pep508_markers.both(first, second))
        assert (not told or Marker(told).evaluate(place)) == all(held)
        told = pep508_markers.text(pep508_markers.either(first, second))
        assert (not told or Marker(told).evaluate(place)) == any(held)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("extra == 'a'", pep508_markers.ALWAYS),
        ("extra == 'b'", pep508_markers.NEVER),
        ("extra != 'b' and 'dev' not in dependency_groups", pep508_markers.ALWAYS),
        ("'default' in dependency_groups", pep508_markers.ALWAYS),
        ("'A' in extras", pep508_markers.ALWAYS),
    ],
)
def test_conditions_on_extras_and_groups_are_settled(text, held):
    assert pep508_markers.parse(text, ["a"], ["default"]) == held


@pytest.mark.parametrize(
    "text", ["python_version", "python_version < 3", "(os_name == 'x'", "os_name == 'x' or", "os_name == 'a\nb'"]
)
def test_what_is_no_marker_is_refused(text):
    with pytest.raises(pep508_markers.MarkerError):
        pep508_markers.parse(text)
