"""The places in the lives of sandboxes and containers where a test ends the process (see ``cni_runtime.faults``)."""

from __future__ import annotations

from enum import StrEnum

from cni_runtime import faults


class FaultPoint(StrEnum):
    """Every fault point in the life of a sandbox, in the order a sandbox meets them."""

    RUN_RECORDED = "run.recorded"
    RUN_FILES = "run.files"
    RUN_NAMESPACES = "run.namespaces"
    ATTACH_PLUGIN_0 = "attach.plugin.0"
    ATTACH_PLUGIN_1 = "attach.plugin.1"
    ATTACH_PLUGIN_2 = "attach.plugin.2"
    ATTACH_ADDED = "attach.added"
    RUN_ATTACHED = "run.attached"
    RUN_READY = "run.ready"
    STOP_RECORDED = "stop.recorded"
    DETACH_BEGUN = "detach.begun"
    DETACH_PLUGIN_0 = "detach.plugin.0"
    DETACH_PLUGIN_1 = "detach.plugin.1"
    DETACH_PLUGIN_2 = "detach.plugin.2"
    DETACH_DELETED = "detach.deleted"
    STOP_DETACHED = "stop.detached"
    STOP_NAMESPACES = "stop.namespaces"
    STOP_STOPPED = "stop.stopped"
    REMOVE_RECORDED = "remove.recorded"
    REMOVE_FILES = "remove.files"
    REMOVE_DONE = "remove.done"


class ContainerFaultPoint(StrEnum):
    """Every fault point in the life of a container, in the order it meets them."""

    RECORDED = "container.recorded"
    ROOTFS = "container.rootfs"
    MADE = "container.made"
    CREATED = "container.created"
    STARTED = "container.started"
    STOPPED = "container.stopped"
    REMOVE_RECORDED = "container.remove.recorded"
    REMOVE_DELETED = "container.remove.deleted"
    REMOVE_FILES = "container.remove.files"
    REMOVE_DONE = "container.remove.done"


def reach(point: FaultPoint | ContainerFaultPoint) -> None:
    """Tell that the program has come to ``point``."""
    faults.reach(point.value)


def reach_plugin(prefix: str, index: int) -> None:
    """Tell that the plugin number ``index`` of a chain is about to run; ``prefix`` is ``attach`` or ``detach``."""
    faults.reach(f"{prefix}.plugin.{index}")
