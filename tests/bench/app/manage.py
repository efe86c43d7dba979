"""An application that takes a second to import and ten milliseconds to answer; says which process answered."""

import os
import time

from flask import Flask

IMPORTS = 1.0
ANSWER = 0.01

# Imports are work: on a busy machine they take longer, which sleeping would hide.
while time.process_time() < IMPORTS:
    pass

app = Flask(__name__)


@app.route("/")
def answer():
    # A database that is asked, say: the worker waits, the processor does not.
    time.sleep(ANSWER)
    return str(os.getpid())
