#!/usr/bin/env python
"""Django's commands, such as migrate and collectstatic."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bakery.settings")
execute_from_command_line(sys.argv)
