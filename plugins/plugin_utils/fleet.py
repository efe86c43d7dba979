"""A play over batches of hosts: how large they are, and whether one that has failed ends it.

Ansible's own max_fail_percentage does not see a host that fails in a block with rescue or always, as all deploys of the
role publish do, and where it does see one, it cuts the other hosts of the batch off in the midst of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

ALL = "100%"
_SIZE = re.compile(r"[1-9]\d*|([1-9]\d?|100)%")
_PERCENTAGE = re.compile(r"(\d{1,2}|100)(\.0+)?%?")


def _wrong(variable: str, given: Any, hint: str) -> AnsibleFilterError:
    return AnsibleFilterError(f"{variable}: {given!r} is not known; write {hint}. Nothing was changed.")


def batches(hosts: Iterable[str], hostvars: Mapping[str, Any] | None = None, said: Any = None) -> Any:
    """What the play's ``serial`` is: what was ``said`` by -e, or by the first host whose variables say it, or all."""
    given = said
    known = [(hostvars or {}).get(host) or {} for host in hosts] if said is None else []
    if given is None:
        given = next((one["publish_serial"] for one in known if one.get("publish_serial") is not None), None)
    if given is None or given == "":
        # Balancers must have somebody to lead to meanwhile.
        return "1" if any(one.get("publish_balancers") for one in known) else ALL
    sizes = given if isinstance(given, (list, tuple)) else str(given).split(",")
    for size in sizes:
        if isinstance(size, bool) or not _SIZE.fullmatch(str(size).strip()):
            raise _wrong("publish_serial", given, "a number of hosts, a percentage such as 25%, or a list of those")
    sizes = [str(size).strip() for size in sizes]
    return sizes[0] if len(sizes) == 1 else sizes


def stopped(hosts: Sequence[str], left: Iterable[str], batch: Sequence[str], percentage: Any = 0) -> str:
    """Why the batch that is about to begin does not; empty where it does.

    ``hosts``: all of the play, in their order; ``left``: those of them that have not failed.
    """
    if isinstance(percentage, bool) or not _PERCENTAGE.fullmatch(str(percentage).strip()):
        raise _wrong("publish_max_fail_percentage", percentage, "0 to 100")
    limit = float(str(percentage).strip().rstrip("%"))
    turn = list(hosts).index(batch[0]) if batch and batch[0] in hosts else 0
    had, there = list(hosts)[:turn], set(left)
    failed = [host for host in had if host not in there]
    if not failed or 100.0 * len(failed) / len(had) <= limit:
        return ""
    done = [host for host in had if host in there]
    waiting = list(hosts)[turn:]
    told = f"{', '.join(failed)} failed, {len(failed)} of {len(had)} so far"
    told += f", and publish_max_fail_percentage allows {limit:g}%: the play ends here."
    told += f" Not begun, and as they were: {', '.join(waiting)}."
    if done:
        told += f" With what this play brings: {', '.join(done)}; to take a release back wherever it is live:"
        told += " ansible-playbook graceful.wsgi.rollback -e app=NAME -e live=RELEASE (graceful.wsgi.history tells it)."
    return told
