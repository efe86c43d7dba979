"""What the doors to the controller's folder of built artifacts take."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of such a door."""

    DOCUMENTATION = r"""
options:
  state:
    description:
      - C(claimed) asks whether this host is the one to have the artifact built. It is not where the folder has it
        already, or where another host or play has said the same and not ended since.
      - C(stored) fetches it from the host that built it, to which the task is delegated.
      - C(released) gives the claim back.
      - C(awaited) waits until the artifact is in the folder, and refuses one that the host cannot run.
      - C(installed) does the same and puts it on the host.
      - C(pruned) removes from the folder what O(keep) and O(days) leave out and what killed plays have left.
    type: str
    required: true
    choices: [claimed, stored, released, awaited, installed, pruned]
  folder:
    description: The folder on the controller. It may be shared by controllers; it is made.
    type: str
    required: true
  name:
    description: The artifact's name, which no other artifact bears.
    type: str
    required: true
  version:
    description: The version of what is built. Required but for C(released) and C(pruned).
    type: str
  about:
    description: What the artifact was made of, for its manifest. Required but for C(released) and C(pruned).
    type: dict
  path:
    description: The artifact's folder on the builder (C(stored)), or the folder for it on the host (C(installed)).
    type: str
  timeout:
    description: Seconds that a build may take. A claim ends some time after that, whatever has become of its play.
    type: int
    default: 3600
  architecture:
    description: The host's, for C(awaited) and C(installed).
    type: str
  keep:
    description:
      - With C(pruned), how many stay whatever their age, those that a host got last; O(name) and O(wanted) count.
    type: int
  days:
    description: With C(pruned), days since a host last got one of the others after which it goes; 0 for never.
    type: int
  wanted:
    description: With C(pruned), artifacts that stay besides O(name).
    type: list
    elements: str
    default: []
  glibc:
    description: The version of the host's glibc, for C(awaited) and C(installed); empty where it has none.
    type: str
"""
