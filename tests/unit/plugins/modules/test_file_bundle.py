"""Which files a host is spared."""

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import bundle_task


@pytest.mark.parametrize(
    ("reader", "program", "there", "expected"),
    [
        (None, None, False, False),
        ("logrotate", "/usr/sbin/logrotate", False, False),
        ("logrotate", None, False, True),
        # It stays what it is: nobody has asked for it to go.
        ("logrotate", None, True, False),
    ],
)
def test_a_file_is_left_out_where_nothing_reads_it(tmp_path, reader, program, there, expected):
    path = tmp_path / "nginx"
    if there:
        path.touch()
    asked = []

    def find(name):
        asked.append(name)
        return program

    assert bundle_task.unread({"reader": reader, "dest": str(path)}, find) is expected
    assert asked == ([reader] if reader else [])
