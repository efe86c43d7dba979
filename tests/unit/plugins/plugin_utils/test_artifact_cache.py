"""The cache holds an artifact whole or not at all, refuses what was tampered with, and one play at a time builds."""

import json
import multiprocessing
import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_artifact import NGINX
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_wheel import WHEEL
from ansible_collections.graceful.wsgi.plugins.plugin_utils.artifact_cache import GRACE, Cache, CacheError, kept

NAME = "1.26.3-0123456789ab"
ABOUT = {"flags": ["--x"]}
ME = os.getpid()
ALL = ["one", "two"]


FOUND = {"features": ["ssl"], "packages": ["libssl3"]}


@pytest.fixture(params=[NGINX, WHEEL], ids=["nginx", "wheel"])
def cache(tmp_path, request):
    return Cache(str(tmp_path / "cache"), NAME, "1.26.3", ABOUT, 60, request.param)


@pytest.fixture
def source(tmp_path, cache, make_wheel):
    """What was built."""
    return make_wheel(tmp_path / "a.whl") if cache.kind is WHEEL else "/bin/cat"


@pytest.fixture
def fetch(tmp_path, cache, source):
    """Brings an artifact as a builder has it."""
    built = tmp_path / "builder" / NAME
    built.parent.mkdir()
    found = FOUND if cache.kind is WHEEL else None
    nginx_artifact.write(str(built), source, "1.26.3", {"flags": ["of an older role"]}, None, cache.kind, found)
    return lambda name, local: shutil.copy(built / name, local)


def files(cache):
    return sorted(path.name for path in cache.folder.iterdir())


def test_what_is_stored_is_found_and_tells_of_itself(cache, fetch, source):
    assert cache.found() is None
    assert cache.claim("one", ME, ALL) is True
    told = cache.store(fetch)
    cache.release("one", ME)
    found = FOUND if cache.kind is WHEEL else None
    assert told == cache.found() == nginx_artifact.manifest(source, "1.26.3", ABOUT, cache.kind, found)
    assert files(cache) == [".lock", NAME]
    assert cache.claim("two", ME, ALL) is False


def cut(content):
    return content[:-1]


def other_byte(content):
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize("damage", [cut, other_byte, lambda content: content + b"x", lambda content: b""])
def test_a_tampered_binary_is_refused_with_its_name_and_the_mend(cache, fetch, damage):
    cache.claim("one", ME, ALL)
    cache.store(fetch)
    cache.release("one", ME)
    cache.binary.write_bytes(damage(cache.binary.read_bytes()))
    for ask in (cache.found, lambda: cache.claim("one", ME, ALL), lambda: cache.wait(ME, ALL, None)):
        with pytest.raises(CacheError) as caught:
            ask()
        assert str(caught.value).startswith(f"{cache.binary} is not what was built: its sha256 is ")
        assert f"remove the folder {cache.path} on the controller" in str(caught.value)


def test_each_byte_of_the_manifest_counts(cache, fetch):
    cache.claim("one", ME, ALL)
    cache.store(fetch)
    file = cache.path / "manifest.json"
    whole = file.read_bytes()
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(CacheError, match="It was not installed|so it was not installed"):
            cache.found()


def test_half_an_artifact_is_refused(cache, fetch):
    for gone in (cache.kind.file, "manifest.json"):
        cache.claim("one", ME, ALL)
        cache.store(fetch)
        (cache.path / gone).unlink()
        with pytest.raises(CacheError, match=gone):
            cache.found()
        shutil.rmtree(cache.path)


def test_a_manifest_that_was_made_to_fit_another_file_is_refused(cache, fetch):
    """Whoever changes both the file and its sum has to make a file that is of the kind at all."""
    cache.claim("one", ME, ALL)
    told = cache.store(fetch)
    cache.binary.write_bytes(b"#!/bin/sh\n")
    told["files"][cache.kind.file] = nginx_artifact.sha256(str(cache.binary))
    (cache.path / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(CacheError, match="is no .*It was not installed; remove the folder"):
        cache.found()


def test_what_was_made_of_something_else_is_refused(cache, fetch):
    cache.claim("one", ME, ALL)
    cache.store(fetch)
    with pytest.raises(CacheError, match="does not tell of"):
        Cache(str(cache.folder), NAME, "1.26.3", {"flags": []}, 60, cache.kind).found()


def test_what_does_not_arrive_whole_is_not_kept(cache, fetch):
    def broken(name, local):
        fetch(name, local)
        if name == cache.kind.file:
            os.truncate(local, 100)

    cache.claim("one", ME, ALL)
    with pytest.raises(CacheError, match="did not arrive"):
        cache.store(broken)
    assert cache.found() is None
    cache.release("one", ME)
    assert files(cache) == [".lock"]


# -- claims --------------------------------------------------------------------------------------------------------


@pytest.fixture
def other_play():
    """The pid of another play."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_one_host_of_a_play_has_it_built(cache):
    assert [cache.claim(host, ME, ALL) for host in ("one", "two", "one")] == [True, False, True]
    cache.release("two", ME)
    assert cache.claim("two", ME, ALL) is False
    cache.release("one", ME)
    assert cache.claim("two", ME, ALL) is True


def test_two_plays_do_not_build_the_same(cache, other_play):
    assert cache.claim("one", other_play, ALL) is True
    # A host of the same name in another play is another one.
    assert cache.claim("one", ME, ALL) is False
    cache.release("one", ME)
    assert cache.claim("one", ME, ALL) is False
    cache.release("one", other_play)
    assert cache.claim("one", ME, ALL) is True


def test_the_claim_of_a_killed_play_is_none(cache):
    with subprocess.Popen(["sleep", "60"]) as process:
        assert cache.claim("one", process.pid, ALL) is True
        assert cache.claim("two", ME, ALL) is False
        process.kill()
    half = cache.folder / f".{NAME}.abcdef"
    half.mkdir()
    (half / "nginx").write_text("half")
    assert cache.claim("two", ME, ALL) is True
    assert not half.exists()


def test_a_number_that_another_process_has_now_is_no_play(cache):
    cache.claim("one", ME, ALL)
    file = cache.folder / f".{NAME}.claim"
    file.write_text(json.dumps(dict(json.loads(file.read_text()), started=1)))
    assert cache.claimed() is None


def test_the_claim_of_another_controller_ends_with_its_time(cache):
    cache.claim("one", ME, ALL)
    file = cache.folder / f".{NAME}.claim"
    claim = dict(json.loads(file.read_text()), controller="elsewhere", pid=1)
    for since, lives in ((time.time(), True), (time.time() - 60 - GRACE - 1, False)):
        file.write_text(json.dumps(dict(claim, since=since)))
        assert bool(cache.claimed()) is lives


def test_a_host_that_was_lost_while_it_built_is_replaced(cache):
    assert cache.claim("one", ME, ALL) is True
    assert cache.claim("two", ME, ["two"]) is True


def test_a_claim_that_cannot_be_read_is_none(cache):
    cache.claim("one", ME, ALL)
    (cache.folder / f".{NAME}.claim").write_text("{")
    assert cache.claim("two", ME, ALL) is True


def _race(folder, number, won):
    if Cache(folder, NAME, "1.26.3", ABOUT, 60).claim(f"host{number}", os.getppid(), [f"host{n}" for n in range(8)]):
        won.put(number)


def test_of_many_at_once_one_gets_it(cache):
    context = multiprocessing.get_context("fork")
    won = context.Queue()
    racers = [context.Process(target=_race, args=(str(cache.folder), number, won)) for number in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert won.get(timeout=5) in range(8)
    assert won.empty()


# -- waiting -------------------------------------------------------------------------------------------------------


def test_others_wait_for_who_builds(cache, fetch, other_play):
    cache.claim("one", other_play, ALL)
    context = multiprocessing.get_context("fork")

    def build():
        time.sleep(0.3)
        cache.store(fetch)
        cache.release("one", other_play)

    builder = context.Process(target=build)
    builder.start()
    assert cache.wait(ME, ALL, None, pause=0.05)["version"] == "1.26.3"
    builder.join()


def test_nobody_waits_for_what_nobody_builds(cache, other_play):
    with pytest.raises(CacheError, match="was not built; the play that was to build it says why"):
        cache.wait(ME, ALL, None)
    cache.claim("one", ME, ALL)
    with pytest.raises(CacheError, match="was not built"):
        cache.wait(ME, ["two"], None)


def test_a_play_does_not_wait_for_itself_without_a_worker(cache, other_play):
    cache.claim("one", ME, ALL)
    with pytest.raises(CacheError, match="cannot wait for it: too many"):
        cache.wait(ME, ALL, "too many")


def test_the_plan_is_told_what_kept_wheels_were_found_to_be(tmp_path, make_wheel):
    (tmp_path / "cache").mkdir()
    wheel, about = make_wheel(tmp_path / "x.whl"), {"features": ["ssl"]}
    for name, found in (("a", {"features": ["json", "ssl"]}), ("b", {"features": []}), ("c", None)):
        nginx_artifact.write(str(tmp_path / "cache" / name), wheel, "2.0.31", about, None, WHEEL, found)
    # Neither one that is being brought nor one that was changed by hand.
    shutil.copytree(tmp_path / "cache/a", tmp_path / "cache/.d")
    file = tmp_path / "cache/b/manifest.json"
    file.write_text(file.read_text().replace('"features": []', '"features": ["ssl"]'))
    told = {"name": "a", "version": "2.0.31", "about": about, "features": ["json", "ssl"]}
    assert kept(str(tmp_path / "cache")) == [told]
    assert kept(str(tmp_path / "none")) == []
