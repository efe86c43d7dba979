"""The plan of a way back: each application keeps the release that it has, but for the one that goes back to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from .model import PublishPlan


def pinned(planned: PublishPlan, pins: Mapping[str, str]) -> PublishPlan:
    """The same plan with releases that are on the host, each with the virtualenv that it had; nothing is pruned.

    ``pins``: the name of each application's release; without one its code is at a path and stays.
    """
    gone = dict.fromkeys(("source", "archive", "repo", "requirements", "auto", "bounds", "constraints"))
    releases = [
        dataclasses.replace(one, **gone, id=pins.get(one.name), pinned=True)  # type: ignore[arg-type]
        for one in planned.releases
    ]
    # Nothing of this comes from git.
    seen = [dataclasses.replace(one, from_git=False) for one in planned.hook_releases]
    return dataclasses.replace(
        planned,
        releases=releases,
        hook_releases=seen,
        # What its own run has put there is there.
        commands=[],
        before_live=[],
        served=[*planned.served, *planned.served_filled],
        served_filled=[],
        kit=None,
        uv=None,
        settings=dataclasses.replace(planned.settings, prune=False, prune_data=False),
        site_bundle=dataclasses.replace(planned.site_bundle, prune=False),
    )
