"""Ends a bundle's module by SIGKILL right before its step number KILL_AT; found by PYTHONPATH, down to Python 2.7."""

import os
import shutil
import signal
import subprocess
import sys

FILES = ["open", "fdopen", "fsync", "rename", "link", "unlink", "mkdir", "chmod", "chown", "lchown"]
REAL = subprocess.Popen
left = [int(os.environ["KILL_AT"])]


def step():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def counted(real):
    def call(*args, **more):
        # What Ansible's wrapper does about the module is no step of it.
        if os.path.basename(sys._getframe(1).f_code.co_filename) in ("bundle.py", "disk.py"):
            step()
        return real(*args, **more)

    return call


class Popen(REAL):
    def __init__(self, args, *rest, **more):
        if "nginx" in str(args):
            step()
        REAL.__init__(self, args, *rest, **more)


for place, names in ((os, FILES), (shutil, ["copy", "rmtree"])):
    for name in names:
        setattr(place, name, counted(getattr(place, name)))
subprocess.Popen = Popen
