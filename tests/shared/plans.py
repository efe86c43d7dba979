"""What a planner returns, as tasks get it: the plan, or plans by role, made plain, and the problems."""

from ansible_collections.graceful.wsgi.plugins.plugin_utils import model


def plain(answer):
    """(plan or plans, problems) of a planner; an empty mapping where it has no plan."""
    planned, problems = answer
    return model.plain(planned) or {}, problems
