"""Ansible packs each module with all that it imports, anew in every play: two of the five seconds of a run that changes
nothing. Plays of the tests hand what Ansible has packed on to the next play, as long as nothing of it has changed.

Nothing else differs: a play begins with these files where Ansible itself looks for what it has packed before.
"""

import base64
import dataclasses
import hashlib
import importlib
import io
import os
import shutil
import sys
import time
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc
from pathlib import Path

import ansible
from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import connection_loader, shell_loader

KEPT = Path(__file__).resolve().parents[3] / ".cache/ansiballz"
A_DAY = 86400


def made_from():
    """What all packed modules are made of: this Ansible, its collections, and every file of ours that runs on hosts."""
    packages = Path(ansible.__file__).parent.parent
    digest = hashlib.sha256(f"{ansible.__version__} {packages} {packages.stat().st_mtime_ns} {sys.version}".encode())
    digest.update(repr((constants.DEFAULT_MODULE_PATH, constants.DEFAULT_MODULE_UTILS_PATH)).encode())
    for collection in importlib.import_module("ansible_collections.graceful.wsgi").__path__:
        for folder in ("plugins/modules", "plugins/module_utils"):
            for file in sorted(Path(collection, folder).rglob("*.py")):
                digest.update(f"{file.relative_to(collection)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def keep_compiled(file, kept):
    """The same with what a Python as the controller's makes of each source beside it; any other takes the source."""
    packed = module_common._CachedModule.load(str(file))
    told = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(base64.b64decode(packed.zip_data))) as sources,
        zipfile.ZipFile(told, "w", zipfile.ZIP_DEFLATED) as both,
    ):
        for entry in sources.infolist():
            text = sources.read(entry)
            both.writestr(entry, text)
            code = compile(text, entry.filename, "exec", dont_inherit=True)
            both.writestr(f"{entry.filename}c", _code_to_hash_pyc(code, bytes(8), checked=False))
    dataclasses.replace(packed, zip_data=base64.b64encode(told.getvalue())).dump(str(kept))


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        # Read here they are read once; by each task's process else.
        for loader, plugin in ((connection_loader, "community.docker.docker"), (shell_loader, "sh")):
            loader.get(plugin, class_only=True)
        self._keep = shutil.copyfile
        self._packed = Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        try:
            self._kept = KEPT / made_from()
        except (ImportError, OSError):
            # A play that does not have the collection, or while it is being written.
            self._kept = None
            return
        if os.environ.get("TEST_COMPILED_MODULES") and hasattr(module_common, "_CachedModule"):
            self._kept = self._kept.with_name(f"{self._kept.name}-compiled")
            self._keep = keep_compiled
        self._kept.mkdir(parents=True, exist_ok=True)
        os.utime(self._kept)
        self._packed.mkdir(exist_ok=True)
        for file in self._kept.glob("[!.]*"):
            self._packed.joinpath(file.name).symlink_to(file)

    def v2_playbook_on_stats(self, stats):
        if self._kept is None:
            return
        for file in self._packed.iterdir():
            if not file.is_symlink() and file.suffix != ".lock" and not file.name.endswith("-part"):
                # Another play may keep the same module at this moment.
                partial = self._kept / f".{file.name}.{os.getpid()}"
                self._keep(file, partial)
                partial.rename(self._kept / file.name)
        for folder in KEPT.iterdir():
            if folder.stat().st_mtime < time.time() - A_DAY:
                shutil.rmtree(folder, ignore_errors=True)
