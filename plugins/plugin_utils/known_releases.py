"""known_releases.json, the one place of known checksums, of where files are to be had and of branches that have ended.

The tests' own downloads (tests/images/sources) and tests/outdated read the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("known_releases.json").read_text(encoding="utf-8"))
