"""Figures out of requests, tables out of figures, and sections of a document that others write in too."""

import math
from collections import Counter


def percentile(values, percent):
    """The smallest of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def figures(requests):
    """Counts, and latencies of the answered requests in ms: a quick refusal is no quick answer."""
    answered = [request.latency * 1000 for request in requests if not request.problem]
    if not answered:
        raise ValueError("no request was answered")
    return {
        "requests": len(requests),
        "failed": len(requests) - len(answered),
        "problems": Counter(request.problem for request in requests if request.problem),
        "p50": percentile(answered, 50),
        "p99": percentile(answered, 99),
        "max": max(answered),
    }


def milliseconds(value):
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio(value, base):
    found = value / base
    return f"{found:.2f}×" if found < 10 else f"{found:.0f}×"


def rows(results):
    """One row for each of {title: figures}; the first is what the others are held against."""
    base = next(iter(results.values()))
    for title, found in results.items():
        latencies = [milliseconds(found[name]) for name in ("p50", "p99", "max")]
        if found is not base:
            latencies = [
                f"{text} ({ratio(found[name], base[name])})"
                for text, name in zip(latencies, ("p50", "p99", "max"), strict=True)
            ]
        yield [title, f"{found['failed']} of {found['requests']}", *latencies]


def table(heads, lines):
    """A markdown table that is readable on a terminal too."""
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    rule = ["-" * width for width in widths]
    return "".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |\n"
        for line in [heads, rule, *lines]
    )


def problems(results):
    """What the failures were, a line for each title that has any."""
    return [
        f"- {title}: " + ", ".join(f"{count} × {problem}" for problem, count in found["problems"].most_common())
        for title, found in results.items()
        if found["problems"]
    ]


def replace_section(text, name, body):
    """The document with this section's text replaced; a section that it does not have yet comes last."""
    opens, closes = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{opens}\n\n{body.strip()}\n\n{closes}"
    if opens not in text and closes not in text:
        return f"{text.rstrip()}\n\n{section}\n"
    before, found, rest = text.partition(opens)
    _old, closed, after = rest.partition(closes)
    if not found or not closed:
        raise ValueError(f"the document has one of {opens} and {closes} without the other")
    return before + section + after
