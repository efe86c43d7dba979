"""The golden pairs of tests/unit/golden_import: a folder NAME of files as hosts have them.

The inputs are in the shape of what public projects and tutorials have, written anew and small. NAME.yml is the
inventory, NAME.md the table of what became of each directive.
"""

import contract
import importing

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files
from ansible_collections.graceful.wsgi.plugins.plugin_utils import import_inventory, import_report

FOLDER = importing.FOLDER
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def imported(name):
    """What is imported of an input."""
    found = stack_files.folder(str(FOLDER / name))
    assert found["messages"] == []
    return import_inventory.run(found["files"], importing.planner)


def outputs(name):
    """{name of the file: its text} of what is written for an input."""
    result = imported(name)
    return {f"{name}.yml": import_report.inventory(result, "old1"), f"{name}.md": import_report.markdown(result)}


if __name__ == "__main__":
    with contract.templating():
        for one in NAMES:
            for file, text in outputs(one).items():
                (FOLDER / file).write_text(text)
