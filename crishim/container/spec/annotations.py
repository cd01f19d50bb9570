"""Annotations of the OCI configuration: who the container is, and what the runtime handler passes on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from crishim.container.spec.inputs import SpecInputs

_PREFIX = "io.kubernetes.cri."
_GLOB_PART = re.compile(
    r"\*|\?|\[(?P<not>\^?)(?P<class>(?:\\.|[^\]\\])+)\]|\\(?P<escaped>.)|(?P<plain>[^\\])", re.DOTALL
)


def spec_annotations(inputs: SpecInputs) -> dict[str, str]:
    """Those of containerd, which tools on the node read, over those passed on."""
    pod = inputs.sandbox.config.metadata
    own = {
        "container-type": "container",
        "sandbox-id": inputs.sandbox.id,
        "sandbox-name": pod.name,
        "sandbox-namespace": pod.namespace,
        "sandbox-uid": pod.uid,
        "container-name": inputs.config.metadata.name,
        "image-name": inputs.config.image.user_specified_image or inputs.config.image.image,
    }
    return {**inputs.annotations, **{_PREFIX + name: value for name, value in own.items()}}


def passed_on(annotations: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """The annotations whose names match one of ``patterns``, in the syntax of Go's path.Match.

    ``*`` and ``?`` do not match a ``/``; a pattern that is not valid matches nothing.
    """
    expressions = [expression for expression in map(_expression, patterns) if expression]
    return {name: value for name, value in annotations.items() if any(each.fullmatch(name) for each in expressions)}


def _expression(pattern: str) -> re.Pattern[str] | None:
    position, parts = 0, []
    while position < len(pattern):
        found = _GLOB_PART.match(pattern, position)
        if found is None or found[0] == "[":
            return None
        parts.append(_translated(found))
        position = found.end()
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return None


def _translated(found: re.Match[str]) -> str:
    if found[0] in ("*", "?"):
        return "[^/]*" if found[0] == "*" else "[^/]"
    if found["class"]:
        members = re.sub(r"(?<!\\)\[", r"\\[", found["class"])
        return f"[{found['not']}{members}]"
    return re.escape(found["escaped"] or found["plain"])
