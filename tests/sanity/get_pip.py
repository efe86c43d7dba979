"""Stands where ansible-test keeps the get-pip.py that it downloads: the pip that Python brings installs the wanted one.

ansible-test runs it inside each virtualenv that it makes, with what is wanted as arguments: pip==24.2 --no-wheel.
"""

import ensurepip
import os
import subprocess
import sys

settings = dict(os.environ)
ensurepip.bootstrap()
# Options of get-pip.py, whose default is to install these two as well.
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
# ensurepip forgets what the environment says to pip..
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install"] + wanted, env=settings))
