"""Runs the roles' tasks without a host, as far as what their modules are given, and judges that by the modules' specs.

A task's arguments are templated by Ansible itself with a plan in the place of what the task `Plan` would have
registered, then handed to the action plugin, which renders files and takes passwords out, and what that would send to
the host is held against the module's own argument spec. What earlier tasks would have registered is made up.
"""

import ast
import contextlib
import copy
import importlib
import inspect
import json
import re
import tarfile
import textwrap
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jinja2
import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import Jinja2Loader, PluginLoader, filter_loader
from ansible.template import Templar, trust_as_template
from jinja2 import nodes

from ansible_collections.graceful.wsgi.plugins.action import uwsgi_instances
from ansible_collections.graceful.wsgi.plugins.module_utils import (
    host_checks,
    missing_modules,
    preflight_answer,
    uwsgi_home,
    uwsgi_wheels,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils import source_tree

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
COLLECTION = "graceful.wsgi."
PLUGINS = "ansible_collections.graceful.wsgi.plugins"
# The entry points of a role that plans.
ENTRIES = {
    "el": ["main.yml"],
    "nginx": ["main.yml", "collect.yml"],
    "uwsgi": ["main.yml", "installed.yml", "collect.yml", "requirements.yml"],
    "publish": ["main.yml", "maintenance.yml", "reload.yml", "history.yml", "earlier.yml", "run.yml", "status.yml"],
    "remove": ["main.yml"],
}
INCLUDES = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")
LOADER = DataLoader()
filter_loader.add_directory(str(ROOT / "plugins/filter"))
# Stands for each element of a list in the path of a key.
EACH = "[]"


COMPILED = {}


def _compiled_once(environment, source, *words, _compile=jinja2.Environment.compile, **more):
    """The code of a template, which Ansible compiles anew for every task: half of the time that tests of these take."""
    if not isinstance(source, str):
        return _compile(environment, source, *words, **more)
    settings = (environment.trim_blocks, environment.lstrip_blocks, environment.keep_trailing_newline)
    marks = (environment.variable_start_string, environment.block_start_string, environment.newline_sequence)
    key = (type(environment), settings, marks, source, words, tuple(sorted(more.items())))
    if key not in COMPILED:
        COMPILED[key] = _compile(environment, source, *words, **more)
    return COMPILED[key]


@contextlib.contextmanager
def templating():
    """Ansible's templating where no loader of collections is installed, which would then be so for all other tests."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(jinja2.Environment, "compile", _compiled_once))
        for loader in (PluginLoader, Jinja2Loader):

            def get(self, name, *words, _get=loader.get_with_context, **more):
                return _get(self, name.removeprefix("ansible.builtin.").removeprefix(COLLECTION), *words, **more)

            stack.enter_context(mock.patch.object(loader, "get_with_context", get))
        yield


class Asked(Exception):
    """The argument spec was asked for: what follows is not its business."""


@cache
def spec_of(name):
    """By what a module, or an action that runs none of its name, checks arguments: argument_spec and its company."""
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    if hasattr(module, "AnsibleModule"):
        with mock.patch.object(module, "AnsibleModule", side_effect=Asked) as asked, contextlib.suppress(Asked):
            module.main()
        return dict(asked.call_args.kwargs)
    action = action_of(name)
    if hasattr(action, "ABOUT"):
        # One module answers them all, and looks up what each takes.
        host_info = importlib.import_module(f"{PLUGINS}.modules.host_info")
        return {"argument_spec": host_info.state_of(action.ABOUT).SPEC}
    with (
        mock.patch.object(action, "validate_argument_spec", side_effect=Asked) as asked,
        contextlib.suppress(Asked),
    ):
        _plugin(action, SimpleNamespace(args={}, async_val=0, check_mode=False), None).run(None, {})
    return dict(asked.call_args.kwargs)


@cache
def action_of(name):
    if not (ROOT / "plugins" / "action" / f"{name}.py").is_file():
        return None
    return importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule


def _plugin(action, task, templar):
    connection = mock.MagicMock()
    connection._shell.join_path = lambda *parts: "/".join(map(str, parts))
    return action(task, connection, SimpleNamespace(check_mode=False, diff=False), LOADER, templar, None)


def faults_of(name, args):
    """What a module's argument spec says against these arguments; what it would have to convert is a fault, too."""
    spec = spec_of(name)
    rules = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    # It fills in what is missing, in the defaults too.
    own, given = copy.deepcopy((spec["argument_spec"], args))
    result = ArgumentSpecValidator(own, **{rule: spec[rule] for rule in rules if rule in spec}).validate(given)
    if result.error_messages:
        return [f"{name}: {message}" for message in result.error_messages]
    return [f"{name}: {where}" for where in _converted(args, result.validated_parameters, "")]


def _converted(given, taken, path):
    """Where a validator has made another value of what was given."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for key, value in given.items():
            yield from _converted(value, taken.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(given, (list, tuple)) and isinstance(taken, list) and len(given) == len(taken):
        for index, (one, other) in enumerate(zip(given, taken, strict=True)):
            yield from _converted(one, other, f"{path}[{index}]")
    elif given is not None and (given != taken or isinstance(given, bool) != isinstance(taken, bool)):
        yield f"{path} is {given!r} and was taken for {taken!r}"


@cache
def _tasks(role, name):
    return LOADER.load_from_file(str(ROLES / role / "tasks" / name), trusted_as_template=True)


class Rendered:
    """The module tasks of a role as this plan makes them.

    ``registered``: what other tasks are taken to have registered, and the facts; ``again``: the plan that a further
    call of the plan returns, once more is known; ``templates``: folders with templates
    of a user's own; ``about``: a word, to run only the tasks that it has to do with. ``sent``: (module, arguments) of
    all that ran; ``faults``: what is wrong with it; ``ran``: the tasks.
    """

    def __init__(self, role, plan, registered, templates=(), about=None, again=None):
        self.role, self.templates, self.about = role, [str(folder) for folder in templates], about
        self.sent, self.faults, self.ran, self.again = [], [], set(), again
        vars_file = ROLES / role / "vars/main.yml"
        self.role_vars = LOADER.load_from_file(str(vars_file), trusted_as_template=True) if vars_file.exists() else {}
        self.registered = {**registered, f"__{role}_planned": {"plan": plan, "kit_folder": "/kit"}}
        if role == "publish":
            # A reload plans for itself, since it may stand within a deploy.
            self.registered["__publish_reload_planned"] = {"plan": plan}
        for entry in ENTRIES[role]:
            self._walk(entry, self._load(entry), {}, {})

    def _load(self, name):
        return _tasks(self.role, name)

    def _walk(self, file, tasks, block, include):
        for task in tasks:
            own = {**block, **(task.get("vars") or {})}
            included = next((task[name] for name in INCLUDES if name in task), None)
            parts = [part for part in ("block", "rescue", "always") if part in task]
            ours = next((name for name in task if name.startswith(COLLECTION)), None)
            if not (included or parts or ours):
                continue
            templar = self._templar(own, include)
            try:
                if not self._holds(task, templar):
                    continue
            except AnsibleError as error:
                self.faults.append(f"{file}, {task.get('name')!r}: when: {_text(error)}")
                continue
            if parts:
                for part in parts:
                    self._walk(file, task[part], own, include)
            elif included == "{{ __publish_hook }}":
                # A file of the user's own.
                continue
            elif included:
                name = included if isinstance(included, str) else included["file"]
                # What an include is given wins over what was registered, and holds for all below it.
                self._walk(name, self._load(name), block, {**include, **(task.get("vars") or {})})
            elif self._concerned(task, {**self.role_vars, **own, **include}):
                self.ran.add((file, task.get("name")))
                self._run(file, task, ours.removeprefix(COLLECTION), templar)

    def _concerned(self, task, variables):
        """Whether the word occurs in the task, or in the variables that it takes."""
        if self.about is None:
            return True
        words, more = set(), {str(task)}
        while more:
            found = {word for text in more for word in re.findall(r"\w+", text)} - words
            words |= found
            more = {str(variables[name]) for name in found if name in variables}
        return self.about in words

    def _templar(self, block, include):
        return Templar(loader=LOADER, variables={**self.role_vars, **block, **self.registered, **include})

    @staticmethod
    def _holds(task, templar):
        whens = task.get("when", True)
        for when in whens if isinstance(whens, list) else [whens]:
            if not templar.template(trust_as_template("{{ (" + str(when) + ") }}")):
                return False
        return True

    def _run(self, file, task, name, templar):
        where = f"{self.role}/{file}, {task.get('name')!r}"
        try:
            args = templar.template(task[COLLECTION + name] or {})
            sent = self._acted(name, args, templar)
        except (AnsibleError, KeyError, AttributeError, TypeError) as error:
            self.faults.append(f"{where}: {type(error).__name__}: {_text(error)}")
            return
        if name == "plan" and self.again is not None and file not in ENTRIES[self.role]:
            self.registered[task["register"]] = {"plan": self.again}
        for module, given in sent:
            self.sent.append((module, given))
            self.faults += [f"{where}: {fault}" for fault in faults_of(module, given)]
            self.faults += [f"{where}: {fault}" for fault in shape_faults(module, given)]

    def _acted(self, name, args, templar):
        """What the action plugin of this name has modules do with these arguments: (module, arguments) of each."""
        action = action_of(name)
        runs_module = hasattr(importlib.import_module(f"{PLUGINS}.modules.{name}"), "AnsibleModule")
        if action is None or not (runs_module or hasattr(action, "ABOUT")):
            return [(name, args)]
        sent = []
        folders = [str(ROLES / self.role), *self.templates]
        task = SimpleNamespace(
            args=args, async_val=0, check_mode=False, diff=False, action=name, get_search_path=lambda: folders
        )

        def execute(_self, module_name=None, module_args=None, **_more):
            module_args = task.args if module_args is None else module_args
            if module_name == f"{COLLECTION}host_info":
                module_name, module_args = name, module_args["wanted"]
            sent.append((module_name.removeprefix(COLLECTION), copy.deepcopy(dict(module_args))))
            items = module_args.get("releases") or []
            told = [{"name": item["name"], "current": "former"} for item in items]
            told = [{**item, "missing": True, "incomplete": True} for item in told]
            due = [item["name"] for item in module_args.get("commands") or []]
            return {"releases": told, "due": due, "ran": [], "failed": False}

        def find(plugin, folder, path):
            return ActionBase._find_needle(plugin, folder, path) if folder == "templates" else path

        with (
            mock.patch.object(uwsgi_instances.ReportingAction, "_reported", lambda _self, result, _task_vars: result),
            mock.patch.object(action, "_execute_module", execute),
            mock.patch.object(action, "_find_needle", find),
            mock.patch.object(action, "_transfer_file", lambda _self, _local, remote: str(remote)),
            mock.patch.object(source_tree, "digest", lambda *_words: "0123456789ab"),
            mock.patch.object(source_tree, "unpack", lambda *_words: "/nonexistent"),
            mock.patch.object(source_tree, "pack", lambda *_words: None),
            mock.patch.object(tarfile.TarFile, "add", lambda *_words, **_more: None),
        ):
            searched = {"ansible_search_path": folders}
            _plugin(action, task, templar).run(None, {**templar.available_variables, **searched})
        return sent


def sent(role, module, args):
    """What a task of a role would have modules do with these arguments: (module, arguments) of each."""
    task = Rendered.__new__(Rendered)
    task.role, task.templates = role, []
    return task._acted(module, args, Templar(loader=LOADER, variables={}))


def _text(error):
    return re.sub(r"\s+", " ", str(error))[:300]


class Read:
    """The keys of a mapping that a function, and those that it hands it on to, read.

    ``required``: by a subscript; ``optional``: by get() or in. Names are followed through loops, attributes and calls.
    """

    def __init__(self, function, name):
        self.required, self.optional, self._seen = set(), set(), set()
        self._look(function, name)

    def _look(self, function, name):
        if (function, name) in self._seen:
            return
        self._seen.add((function, name))
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        names, nodes = {name}, list(ast.walk(tree))
        for _again in range(3):
            for node in nodes:
                if isinstance(node, (ast.For, ast.comprehension)) and _is(node.iter, names):
                    names |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
                elif isinstance(node, ast.Assign):
                    for target in node.targets:
                        names |= _assigned(target, node.value, names)
        self._reads_of(tree, names)
        for node in nodes:
            if isinstance(node, ast.Call):
                self._call(node, names, function)
        # What is looked at before it is taken may be missing.
        self.required -= self.optional

    def _reads_of(self, tree, names):
        # In `check[name] for name in ("root", "version")` the name stands for these.
        listed = {
            node.target.id: {item.value for item in node.iter.elts if isinstance(item, ast.Constant)}
            for node in ast.walk(tree)
            if isinstance(node, (ast.For, ast.comprehension))
            and isinstance(node.target, ast.Name)
            and isinstance(node.iter, (ast.Tuple, ast.List))
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and _is(node.value, names):
                if isinstance(node.slice, ast.Constant):
                    self.required |= {node.slice.value} if isinstance(node.slice.value, str) else set()
                elif isinstance(node.slice, ast.Name):
                    self.required |= listed.get(node.slice.id, set())
            elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
                if any(_is(item, names) for item in node.comparators):
                    self.optional.add(node.left.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                asked = node.args[0] if _is(node.func.value, names) else None
                self.optional |= {asked.value} if isinstance(asked, ast.Constant) else set()

    def _call(self, node, names, function):
        called = node.func
        if any(_is(argument, names) for argument in node.args):
            # What is to be done with each of them is handed on beside them.
            for argument in node.args:
                if isinstance(argument, ast.Lambda):
                    inner = {part.arg for part in argument.args.args}
                    self._reads_of(argument, inner)
        for index, argument in enumerate(node.args):
            if _is(argument, names):
                found = self._resolved(called, function)
                if found is not None:
                    parameters = list(inspect.signature(found).parameters)
                    self._look(found, parameters[index])

    @staticmethod
    def _resolved(called, function):
        module = inspect.getmodule(function)
        if isinstance(called, ast.Name):
            found = getattr(module, called.id, None)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            found = getattr(getattr(module, called.value.id, None), called.attr, None)
        else:
            return None
        return found if (getattr(found, "__module__", None) or "").startswith(PLUGINS) else None

    def faults(self, given):
        """What a mapping with these keys lacks, and what nobody reads of it."""
        faults = [f"{key} is read and not given" for key in sorted(self.required - set(given))]
        return faults + [f"{key} is given and not read" for key in sorted(set(given) - self.required - self.optional)]


def _is(node, names):
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
        # One of several is read as all of them.
        return _is(node.value, names)
    return (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)


def _assigned(target, value, names):
    """What an assignment makes another name of."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
    else:
        pairs = [(target, value)]
    found = set()
    for one, other in pairs:
        if _is(other, names):
            found |= {one.id} if isinstance(one, ast.Name) else {one.attr} if isinstance(one, ast.Attribute) else set()
    return found


@cache
def read_of_kind(kind):
    """The keys that a kind of check reads."""
    inner = inspect.getclosurevars(host_checks.KINDS[kind]).nonlocals
    if "names" in inner:
        read = Read(host_checks.KINDS[kind], "checks")
        read.optional |= set(inner["names"])
        return read
    function = inner.get("check", host_checks.KINDS[kind])
    return Read(function, next(iter(inspect.signature(function).parameters)))


def check_faults(check):
    if check.get("kind") not in host_checks.KINDS:
        return [f"checks: there is no kind {check.get('kind')!r}"]
    given = {"variable", *check} - {"kind", *UNREAD.get(check["kind"], ())}
    faults = read_of_kind(check["kind"]).faults(given)
    return [f"checks: {check['kind']}: {fault}" for fault in faults if not fault.startswith("variable is given")]


@cache
def _read(function, name):
    return Read(function, name)


# Mappings that no argument spec can name the keys of, since an empty one is another thing to the module than one whose
# keys are none: the function that reads them, its parameter, what it reads of other mappings only, and what is read
# elsewhere.
SHAPES = {
    "apps[].probe": (preflight_answer.judge, "asked", {"live", "protocol"}, set()),
    "apps[].question": (preflight_answer.judge, "asked", set(), set()),
    # The module itself looks into the folder.
    "apps[].code": (missing_modules.hint, "about", set(), {"path"}),
    # The check of this name reads the rest of the same mapping.
    "wheels": (uwsgi_wheels.Look, "wanted", set(), {"build", "build_user", "python", "root"}),
    "wheels.wheels[]": (uwsgi_wheels.Look._look_at, "wheel", set(), set()),
    # By a name that the function makes up.
    "python_packages": (uwsgi_home.python_packages, "names", set(), {"pip", "venv"}),
}
# What the checks of a kind are given and do not read.
UNREAD = {
    # One function of takeover_plan.py says it of all kinds that ask who owns what.
    "server": {"take_over"},
}


def shape_faults(module, args):
    """What is wrong with the mappings of these arguments whose keys no argument spec holds."""
    faults = []
    for path, value in mappings(module, args):
        name = path.partition(".")[2]
        if name == "checks[]":
            faults += check_faults(value)
        elif name in SHAPES and value:
            for inner in SHAPES:
                key = inner.removeprefix(f"{name}.").removesuffix(EACH)
                if inner == f"{name}.{key}{EACH}":
                    for one in value.get(key) or []:
                        faults += _shape_faults(f"{path}.{key}{EACH}", inner, one)
            faults += _shape_faults(path, name, value)
    return list(dict.fromkeys(faults))


def _shape_faults(path, name, value):
    function, parameter, others, more = SHAPES[name]
    faults = [f"{key} is read and not given" for key in sorted(more - set(value))]
    faults += _read(function, parameter).faults(set(value) - more)
    return [f"{path}: {fault}" for fault in faults if fault.partition(" ")[0] not in others]


def mappings(module, args):
    """(path, value) of each mapping among the arguments whose keys the argument spec does not name."""
    return list(_mappings(args, spec_of(module)["argument_spec"], module))


def _mappings(value, options, path):
    for name, item in value.items():
        option = options.get(name) or {}
        for where, one in [(f"{path}.{name}", item)] + [
            (f"{path}.{name}[]", one) for one in (item if isinstance(item, list) else ())
        ]:
            if not isinstance(one, dict):
                continue
            if option.get("options"):
                yield from _mappings(one, option["options"], where)
            else:
                yield where, one


# A regex in a text of Jinja's is no matter of this.
ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])
# Keywords whose text is an expression without braces.
BARE = {"when", "until", "that", "failed_when", "changed_when"}
# Other names of a role's plan, or of a part of it.
ALIASES = {
    "__publish_plan": ("publish",),
    "__uwsgi_settings": ("uwsgi", "settings"),
    "__uwsgi_virtualenv": ("uwsgi", "virtualenv"),
}
# What an include says in the place of another part of the plan, by the same name.
TWINS = [(("uwsgi", "virtualenv"), ("uwsgi", "builder", "virtualenv"))]
PLANNED = re.compile(r"__(\w+?)(?:_build|_reload)?_planned\Z")
METHODS = {"items", "keys", "values"}


def texts(value, key=None, given=False, bare=False, loop=None):
    """(key, text, whether a module of ours is given it, what its task loops over) of each template in some YAML."""
    if isinstance(value, dict):
        loop = value["loop"] if isinstance(value.get("loop"), str) else loop
        for name, item in value.items():
            yield from texts(item, name, given or str(name).startswith(COLLECTION), name in BARE, loop)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, key, given, bare, loop)
    elif isinstance(value, str):
        yield key, ("{{ " + value + " }}" if bare and "{{" not in value else value), given, loop


class Reads:
    """What a role's tasks, templates, handlers and variables read of the plans.

    ``paths``: {(role, key, …): whether a module of ours gets it whole}, EACH standing for an element of a list;
    ``names``: all attributes that are read of anything.
    """

    def __init__(self, role):
        self.paths, self.names = {}, set()
        found = []
        for folder in ("tasks", "templates", "handlers", "vars"):
            for path in sorted((ROLES / role / folder).rglob("*")):
                if path.is_file():
                    read = texts(read_yaml(path)) if path.suffix == ".yml" else [(None, path.read_text(), False, None)]
                    found += [(name, ENVIRONMENT.parse(text), given, loop) for name, text, given, loop in read]
        # What a variable holds that a module is given, the module is given.
        handed = set()
        for _again in range(5):
            for variable, tree, given, _loop in found:
                if given or variable in handed:
                    handed |= {node.name for node in tree.find_all(nodes.Name) if node.name not in ALIASES}
        for variable, tree, given, loop in found:
            # What a task goes through, `item` is one of.
            path = _path(next(ENVIRONMENT.parse(loop).find_all(nodes.Output)).nodes[0], {}) if loop else None
            self._read(tree, given or variable in handed, {"item": (*path, EACH)} if path else {})
        for path, given in list(self.paths.items()):
            for one, other in TWINS:
                if path[: len(one)] == one:
                    self.paths.setdefault((*other, *path[len(one) :]), given)

    def _read(self, node, given, local):
        if isinstance(node, nodes.For) and isinstance(node.target, nodes.Name) and _path(node.iter, local):
            self._read(node.iter, given, local)
            local = {**local, node.target.name: (*_path(node.iter, local), EACH)}
            for part in [*node.body, *node.else_]:
                self._read(part, given, local)
            return
        found = _path(node, local)
        if found is not None:
            # An element by itself says no more than the list.
            found = found[:-1] if found[-1] == EACH else found
            self.paths[found] = self.paths.get(found, False) or given
            # By an alias something else is read as well, at times.
            self.names |= {found[-1]} if _root(node) in ALIASES else set()
            # What is below it is a part of the same path; arguments of its filters are not.
            while isinstance(node, (nodes.Getattr, nodes.Getitem, nodes.Filter)):
                for argument in [*getattr(node, "args", []), *getattr(node, "kwargs", [])]:
                    self._read(argument, given, local)
                if isinstance(node, nodes.Filter):
                    element = _path(node.node, local)
                    if element is not None and _attribute(node) is not None and node.name != "map":
                        self.paths.setdefault((*element, EACH, *_attribute(node).split(".")), given)
                node = node.node
            return
        if isinstance(node, nodes.Getattr):
            self.names.add(node.attr)
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            self.names |= set(node.value.split("."))
        for child in node.iter_child_nodes():
            self._read(child, given, local)

    def alive(self, role, path):
        """Whether this key of the role's plan is read, be it as a part of what is."""
        whole = (role, *path)
        for read, given in self.paths.items():
            if read[: len(whole)] == whole:
                return True
            if whole[: len(read)] == read and (given or path[-1] in self.names):
                return True
        return False


def _root(node):
    while not isinstance(node, nodes.Name):
        node = node.node
    return node.name


def _attribute(node):
    """The attribute of each element that a filter looks at."""
    if node.name == "map":
        value = next((item.value for item in node.kwargs if item.key == "attribute"), None)
    elif node.name in ("selectattr", "rejectattr"):
        value = node.args[0] if node.args else None
    else:
        value = None
    return value.value if isinstance(value, nodes.Const) else None


def _path(node, local):
    """What of which role's plan an expression is, (role, key, …), or None; ``local``: other names of such parts."""
    if isinstance(node, nodes.Name):
        return local.get(node.name) or ALIASES.get(node.name)
    if isinstance(node, nodes.Getattr):
        planned = PLANNED.match(node.node.name) if isinstance(node.node, nodes.Name) and node.attr == "plan" else None
        if planned:
            return (planned[1],)
        above = _path(node.node, local)
        if above is None or not isinstance(node.node, (nodes.Getattr, nodes.Name)):
            return None
        return above if node.attr in METHODS else (*above, node.attr)
    if isinstance(node, nodes.Filter) and node.node is not None and node.name == "map":
        above, attribute = _path(node.node, local), _attribute(node)
        return (*above, EACH, *attribute.split(".")) if above and attribute else None
    if isinstance(node, nodes.Filter) and node.node is not None and node.name in ("selectattr", "rejectattr"):
        # Fewer of the same.
        return _path(node.node, local)
    return None


def keys(value, opaque, path=()):
    """The path of each key of a plan; those below a path that ``opaque`` holds are data and no names."""
    if path in opaque:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from keys(item, opaque, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from keys(item, opaque, (*path, EACH))


def renamed(value, path):
    """A copy of a plan in which the key at the end of this path has another name, wherever it occurs."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if first == EACH:
        return [renamed(item, rest) for item in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or first not in value:
        return value
    found = {(f"{key}_" if key == first and not rest else key): item for key, item in value.items()}
    return {**found, first: renamed(value[first], rest)} if rest else found


def as_told(value):
    """A plan as a task gets it: what Ansible registers has been JSON."""
    return json.loads(json.dumps(value))


def read_yaml(path):
    return yaml.safe_load(Path(path).read_text())
