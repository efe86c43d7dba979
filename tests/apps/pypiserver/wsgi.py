"""pypiserver's own start-up; packages lie in the folder that systemd makes for the service."""

from pathlib import Path

import pypiserver

application = pypiserver.app(
    roots=[Path("/var/lib/packages")],
    authenticate=[],
    password_file=".",
    disable_fallback=True,
    welcome_msg="first release: {{NUMPKGS}} packages\n",
)
