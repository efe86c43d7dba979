"""isso's own start-up, which hands mail to uWSGI's spooler where it runs under uWSGI."""

from isso.run import application

__all__ = ["application"]
