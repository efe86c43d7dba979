"""What a failed preflight tells besides what uWSGI has said."""

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_preflight
from ansible_collections.graceful.wsgi.plugins.modules import uwsgi_preflight as module

NO_NAME = (
    "the worker ended before it accepted a request:\n"
    "unable to load app 0 (mountpoint='') (callable not found or import error)"
)


def test_a_failed_preflight_names_the_callable_and_the_cure(tmpdir, monkeypatch):
    def fail(*_args):
        raise uwsgi_preflight.PreflightError(NO_NAME)

    monkeypatch.setattr(module, "preflight", fail)
    monkeypatch.setattr(module.Application, "_who", lambda self: {"uid": 0, "gid": 0, "groups": []})
    tmpdir.join("shop.py").write("app = Flask(__name__)\n")
    wanted = {
        "name": "shop", "user": "x", "group": "x", "options": [], "environment": {}, "template": None, "text": None,
        "probe": {}, "question": {"callable": "shop:application"}, "unit": None, "files": {}, "vars": {},
        "code": {"path": str(tmpdir), "module": "shop", "requirements": None, "virtualenv": None},
    }  # fmt: skip
    one = module.Application(wanted, {}, "/bin/true", 5, False)
    one.run()
    assert one.failed and one.found == NO_NAME + (
        "\ncallable: shop loads and has no application, but app; write `callable: app`"
    )
