"""Makes the checkout importable as ansible_collections.graceful.wsgi, under Python 2.7 too.

Module code runs on hosts down to Python 2.7. Tests under module_utils/any_python run under any Python (hypothesis
stays out of them); for Python 2.7, with pytest 4.6 in a virtualenv of it:

    python2.7 -m pytest -c /dev/null --rootdir . tests/unit/plugins/module_utils/any_python
"""

from __future__ import absolute_import, division, print_function

import ctypes
import os
import struct
import sys
import types
import zipfile

import pytest

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

if sys.version_info >= (3,):
    from hypothesis import HealthCheck, settings

    sys.path.insert(0, os.path.join(CHECKOUT, ".collections"))
    # How long an example takes on a busy machine is no property of the code.
    settings.register_profile("checkout", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("checkout")
else:
    # There are no namespace packages, so folders without __init__.py need a hand.
    name = ""
    for part, path in (
        ("ansible_collections", []),
        ("graceful", []),
        ("wsgi", [CHECKOUT]),
        ("plugins", [os.path.join(CHECKOUT, "plugins")]),
        ("module_utils", [os.path.join(CHECKOUT, "plugins", "module_utils")]),
    ):
        name = (name + "." + part).lstrip(".")
        package = types.ModuleType(name)
        package.__path__ = path
        sys.modules[name] = package


@pytest.fixture
def make_wheel():
    """Makes a wheel as pip names none, with /bin/cat for the binary; returns its path."""

    def make(path, binary="uwsgi-2.0.31.data/scripts/uwsgi", tag="Tag: cp311-cp311-linux_x86_64\n"):
        archive = zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED)
        archive.write("/bin/cat", binary)
        archive.writestr("uwsgi-2.0.31.dist-info/WHEEL", "Wheel-Version: 1.0\n" + tag)
        archive.close()
        return str(path)

    return make


@pytest.fixture
def set_acl():
    """Gives a path an access list by (tag, rights, account) entries; skips where the file system has none."""

    def give(path, *entries):
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *one) for one in entries)
        # By libc, since Python 2 has no call for it.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setxattr(path.encode("utf-8"), b"system.posix_acl_access", value, ctypes.c_size_t(len(value)), 0):
            pytest.skip("this file system has no access lists: " + os.strerror(ctypes.get_errno()))

    return give
