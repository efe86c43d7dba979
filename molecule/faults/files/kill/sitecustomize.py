"""Ends a bundle's module by SIGKILL right before its step number KILL_AT; found by PYTHONPATH, down to Python 2.7.

A step is what changes the disk, or asks nginx: a kill before something is read or synced leaves what one after it does.
"""

import os
import shutil
import signal
import subprocess
import sys

FILES = ["open", "fdopen", "rename", "link", "unlink", "mkdir", "chmod", "chown", "lchown"]
REAL = subprocess.Popen
OPEN, FDOPEN = os.open, os.fdopen
left = [int(os.environ["KILL_AT"])]


def step():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def reads(real, args):
    if real is OPEN:
        return not args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return real is FDOPEN and args[1] == "rb"


def counted(real):
    def call(*args, **more):
        # What Ansible's wrapper does about the module is no step of it.
        ours = os.path.basename(sys._getframe(1).f_code.co_filename) in ("bundle.py", "disk.py")
        if ours and not reads(real, args):
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
