"""The history of releases as a table."""

from ansible_collections.graceful.wsgi.plugins.plugin_utils import history_table

NONE = {"made": {}, "live": {}, "failed": {}, "there": True, "settings": ""}
HISTORY = {
    "shop": [
        {
            **NONE,
            "id": "0123456789abcdef",
            "status": "live",
            "at": 0.5,
            "by": "ada@laptop",
            "settings": "3f9a01bc",
            "made": {"repo": "https://git.test/shop.git", "version": "v2"},
        },
        {
            **NONE,
            "id": "feed00",
            "status": "failed",
            "at": 86400,
            "by": "",
            "failed": {"stage": "verify", "why": "shop: no module"},
        },
        {**NONE, "id": "old", "status": "unknown", "at": 0, "by": ""},
    ],
    "path": [],
}


def test_each_application_has_its_table_with_why_a_release_failed():
    assert history_table.lines("web1", HISTORY) == [
        "web1: path",
        "  no release; code at path is not kept in releases",
        "",
        "web1: shop",
        "  RELEASE       STATUS        WHEN (UTC)           BY          MADE FROM                       CONFIGURATION",
        "  0123456789ab  live          1970-01-01 00:00:00  ada@laptop  https://git.test/shop.git (v2)  3f9a01bc",
        "  feed00        failed        1970-01-02 00:00:00",
        "    failed (verify): shop: no module",
        "  old           not recorded",
        "",
    ]


def test_without_applications_that_is_said():
    assert history_table.lines("web1", {}) == ["web1: no applications"]
