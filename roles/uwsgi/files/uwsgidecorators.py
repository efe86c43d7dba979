"""The module uwsgidecorators of the uWSGI that runs, for applications whose virtualenv has none.

Under lazy-apps a worker loads the code once it is forked, so that uWSGI never calls what ``postfork`` marks. Here it is
called as soon as the module that marks it is loaded. Everything else is as uWSGI has it.
"""

import os
import sys
import traceback

import uwsgi

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_REAL = os.path.join(_HOME, "lib", "python{0}.{1}".format(*sys.version_info), "site-packages", "uwsgidecorators.py")
with open(_REAL) as _source:
    exec(compile(_source.read(), _REAL, "exec"))  # noqa: S102

_Postfork = globals()["postfork"]
# [the frame of a module that is being loaded, what it marks]
_waiting = []


def _run(marked):
    try:
        marked()
    except Exception:
        # As uWSGI does after a fork: the error is told, and the worker goes on.
        traceback.print_exc()


def _watch(frame, event, _argument):
    if event != "return" or frame not in [item[0] for item in _waiting]:
        return
    due = [item for item in _waiting if item[0] is frame]
    _waiting[:] = [item for item in _waiting if item[0] is not frame]
    if not _waiting:
        sys.setprofile(None)
    for _frame, marked in due:
        _run(marked)


def _when_loaded(marked, frame):
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame is None or sys.getprofile() not in (None, _watch):
        _run(marked)
        return
    _waiting.append((frame, marked))
    sys.setprofile(_watch)


class postfork(_Postfork):
    """As uWSGI's own; called at once in a worker, which is forked already."""

    def __init__(self, f):
        _Postfork.__init__(self, f)
        if callable(f) and uwsgi.worker_id() > 0:
            _when_loaded(self, sys._getframe(1))

    def __call__(self, *args, **kwargs):
        marked = self.f is not None
        result = _Postfork.__call__(self, *args, **kwargs)
        if not marked and uwsgi.worker_id() > 0:
            # Marked for one worker only: this call hands the function over.
            _when_loaded(self, sys._getframe(1))
        return result
