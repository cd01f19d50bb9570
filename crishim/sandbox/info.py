"""What ``crictl inspectp`` and ``crishim explain`` want to know of a sandbox beyond its CRI status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cni_runtime.result import decode_result, encode_result
from crishim.model.attachment import AttachmentRecord
from crishim.model.sandbox import NamespacePaths, Sandbox, State


def sandbox_info(sandbox: Sandbox, attachments: Sequence[AttachmentRecord], runtime_type: str) -> dict[str, Any]:
    """Verbose status: the keys that users of containerd read, then what only this server has."""
    return {
        "pid": 0,
        "netNamespaceClosed": sandbox.namespaces.net is not None and sandbox.state is not State.READY,
        "runtimeHandler": sandbox.runtime_handler,
        "runtimeType": runtime_type,
        "runtimeSpec": {"linux": {"namespaces": _namespaces(sandbox.namespaces)}},
        "cniResult": cni_result(attachments),
        "netNamespace": sandbox.namespaces.net,
        "userNamespace": _user_namespace(sandbox),
        "state": sandbox.state,
        "reason": sandbox.reason,
        "bootID": sandbox.boot_id,
        "attachments": [_attachment(record) for record in attachments],
    }


def _user_namespace(sandbox: Sandbox) -> dict[str, Any] | None:
    ids = sandbox.id_map
    if ids is None:
        return None
    return {
        "path": ids.namespace,
        "uids": msgspec.to_builtins(ids.userns.uids),
        "gids": msgspec.to_builtins(ids.userns.gids),
    }


def _namespaces(paths: NamespacePaths) -> list[dict[str, str]]:
    """As in an OCI configuration, where scripts look for the path of the pod's network namespace."""
    named = (("network", paths.net), ("ipc", paths.ipc), ("uts", paths.uts), ("user", paths.user))
    return [{"type": kind, "path": path} for kind, path in named if path is not None]


def cni_result(attachments: Iterable[AttachmentRecord]) -> dict[str, Any] | None:
    """The results of all networks in one object, by interface name, in the shape that containerd reports.

    A status is asked for all the time, and each result was decoded when it came: it is not taken apart again.
    """
    results = [(record, _with_lists(record.result)) for record in attachments if record.result is not None]
    if not results:
        return None
    interfaces: dict[str, Any] = {}
    for record, result in results:
        interfaces |= _interfaces(record.ifname, result)
    return {
        "Interfaces": interfaces,
        "DNS": [result["dns"] for _, result in results if result.get("dns")],
        "Routes": [
            {"dst": route["dst"], "gw": route.get("gw") or ""}
            for _, result in results
            for route in result.get("routes") or ()
        ],
    }


def _with_lists(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """``result`` as CNI has it since 0.3.0."""
    if "ip4" in result or "ip6" in result:
        return encode_result(decode_result(result), "1.0.0")
    return result


def _interfaces(ifname: str, result: Mapping[str, Any]) -> dict[str, Any]:
    listed = result.get("interfaces") or ({"name": ifname},)
    alone = len(listed) == 1
    return {
        interface["name"]: {
            "IPConfigs": [
                {"IP": ip["address"].partition("/")[0], "Gateway": ip.get("gateway") or ""}
                for ip in result.get("ips") or ()
                if ip.get("interface") == number or (ip.get("interface") is None and alone)
            ],
            "Mac": interface.get("mac") or "",
            "Sandbox": interface.get("sandbox") or "",
        }
        for number, interface in enumerate(listed)
    }


def _attachment(record: AttachmentRecord) -> dict[str, Any]:
    return {
        "network": record.network,
        "interface": record.ifname,
        "source": record.source,
        "phase": record.phase,
        "error": record.error,
        "conflist": msgspec.Raw(record.conflist.encode()),
        "steps": [{"plugin": step.plugin, "milliseconds": round(step.seconds * 1000, 3)} for step in record.steps],
        "result": record.result,
    }
