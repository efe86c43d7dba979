#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_build_info
short_description: (internal) Tells which uWSGI is installed, whether its binary is the wanted one, what a build lacks
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Finds the wanted Python, the folder that holds or will hold uWSGI for it, and asks the binary there what it was
    compiled with. Changes nothing.
options:
  version:
    description: The wanted uWSGI.
    type: str
    required: true
  python:
    description: Name or absolute path of a Python; empty for the host's own python3, else the one Ansible runs under.
    type: str
    default: ''
  pythons:
    description: Pythons that applications name beside that one, of whose uWSGI the same is told in RV(further).
    type: list
    elements: dict
    default: []
    suboptions:
      python:
        description: As O(python).
        type: str
        required: true
      variable:
        description: What names it, for messages.
        type: str
        required: true
  root:
    description: The folder that holds one folder for each uWSGI.
    type: path
    required: true
  keep_homes:
    description: How many of the folders in O(root) stay, the wanted one among them; 0 for all.
    type: int
    default: 0
  conf_dir:
    description: Folder of the configurations, which may name such folders.
    type: path
    default: /etc/uwsgi
  home:
    description: Examine this folder, whatever its state, instead of choosing one.
    type: path
  features:
    description: Features that the binary must have.
    type: list
    elements: str
    default: []
    choices: [capabilities, json, pcre, routing, ssl, xml, yaml, zlib]
  build:
    description: All else that makes one build differ from another.
    type: dict
    default: {}
  needs:
    description: What a build needs of the host, each a C(package) and the C(files) of which one proves it is there.
    type: list
    elements: dict
    default: []
    suboptions:
      package:
        description: Name of the package.
        type: str
        required: true
      files:
        description: Absolute paths.
        type: list
        elements: path
        required: true
  python_packages:
    description:
      - Names of the packages that bring a Python's C(headers), C(venv) and C(pip), each a mapping of version (or C(*))
        to name, in which C({version}) stands for the version. Empty where packages are not the role's business.
    type: dict
    default: {}
  virtualenv:
    description: Folder on the host of the virtualenv that serves Python 2.7.
    type: path
  pip_wheels:
    description: Versions of Python, such as V(3.11), for which the controller brings a wheel of pip, so that one that
      makes no pip of its own will do.
    type: list
    elements: str
    default: []
  virtualenv_wheel:
    description: Whether the wheel of that virtualenv will be brought from the controller.
    type: bool
    default: false
  wheels:
    description:
      - The wheels of uWSGI that the controller has in C(uwsgi_wheel_dir), as the plan tells of them. Where one fits the
        host nothing is built, and where the host lacks what it takes the module fails. Empty where there are none.
    type: dict
    default: {}
  like:
    description:
      - Look at this host as the one that builds the wheel for a host of this RV(kind), and fail where it is of another.
    type: dict
    default: {}
  builder:
    description: The name of the host that builds, for the text of that failure.
    type: str
    default: ''
  brought:
    description:
      - Whether headers and libraries of the host that O(like) tells of are brought to this one, so that it builds by a
        Python of its own, of the same architecture, where it is of another kind.
    type: bool
    default: false
  wheel_folder:
    description:
      - Examine nothing but the one wheel in this folder, which was built for the host that O(like) tells of and does
        not run here. All is read from the file.
    type: path
  glibc:
    description: With O(wheel_folder), the version of that host's glibc, empty where it has none.
    type: str
    default: ''
  build_user:
    description:
      - The account that builds, as which the binary is run to be asked; with nobody's rights where it is not there.
        Empty for whoever the module runs as.
    type: str
    default: ''
  user:
    description: Account that runs the units.
    type: str
  group:
    description: Primary group of O(user).
    type: str
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.bundles
"""

EXAMPLES = r"""
- name: Gather the state of uWSGI
  graceful.wsgi.uwsgi_build_info:
    version: 2.0.31
    root: /opt/uwsgi
    features: [ssl, routing]
  register: uwsgi
"""

RETURN = r"""
python:
  description: The Python that was found (C(executable), C(version), C(full_version), C(headers), C(venv)).
  returned: success
  type: dict
home:
  description: The folder of the wanted uWSGI.
  returned: success
  type: str
state:
  description: C(verified), C(absent), C(unfinished) (a build was broken off), C(broken) (it has been damaged since), or
    C(examined) where O(home) was given.
  returned: success
  type: str
faults:
  description: What is wrong with the binary in RV(home).
  returned: success
  type: list
  elements: str
missing:
  description: Wanted features that the binary lacks.
  returned: success
  type: list
  elements: str
stamp:
  description: What to write into RV(home) once the binary is verified.
  returned: success
  type: dict
options:
  description: The options that the binary in RV(home) knows; empty where there is none that is as wanted.
  returned: success
  type: list
  elements: str
modules:
  description: The sha256 of the module C(uwsgidecorators) that applications get, an empty string where it is not there.
  returned: success
  type: str
current:
  description: Where the link C(current) points to, or an empty string.
  returned: success
  type: str
wanted_homes:
  description: The folders in O(root) that stay in any case.
  returned: success
  type: list
  elements: str
old_homes:
  description: Names of the folders in O(root) that O(keep_homes) leaves out and that nothing uses.
  returned: success
  type: list
  elements: str
packages:
  description: Packages that a build lacks, or of a wheel the libraries; empty where nothing is to be installed.
  returned: success
  type: list
  elements: str
homes:
  description: For each of O(pythons), by its name, the C(home), C(binary), C(python), C(abi), C(interpreter),
    C(venv_command) and C(options) of its uWSGI.
  returned: success
  type: dict
further:
  description: For each home of those beside RV(home) what is told of that one.
  returned: success
  type: list
  elements: dict
kind:
  description: What a host and the builder of its wheel must have alike (C(distribution), C(major), C(architecture),
    C(python), C(abi), C(interpreter)); empty where nothing is to be installed.
  returned: success
  type: dict
wheel:
  description: The C(name) of the wanted wheel and what it is made of (C(about)); empty where nothing is to be
    installed.
  returned: success
  type: dict
cross:
  description: With O(brought) on a builder of another kind, what such a build takes and makes (C(python), C(prefix),
    C(library), C(python_tag), C(abi_tag), C(platform_tag)); else empty.
  returned: success
  type: dict
wheel_file:
  description: The one of O(wheels) that fits the host, an empty string where none does or nothing is to be installed.
  returned: success
  type: str
glibc:
  description: The version of the host's glibc, null where it has none.
  returned: success
  type: str
pip_python:
  description: An interpreter on the host whose pip runs, or an empty string; looked for only where Python 2.7 needs it.
  returned: success
  type: str
venv_command:
  description: The command that makes a virtualenv of this Python once a path is appended.
  returned: success
  type: list
  elements: str
bundles:
  description: For each of O(bundles) what O(graceful.wsgi.file_bundle#module:verified_digest) takes; empty where
    anything of the last set is another by now.
  returned: success
  type: dict
account:
  description: Whether the C(group) and the C(user) are as wanted.
  returned: success
  type: dict
"""
