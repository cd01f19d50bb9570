"""The process that holds the PID namespace which a pod's containers share: it waits, and reaps orphans."""

from __future__ import annotations

from crishim.container.spec.cgroup import cgroups_path
from crishim.container.spec.inputs import OCI_VERSION, HostFacts, Json
from crishim.container.spec.namespaces import id_mappings, joined_user_namespace
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.infra.dressing import InfraProcess
from crishim.drivers.infra.system_calls import SUPPORTED
from crishim.model.sandbox import Sandbox

_INIT = "/catatonit"
_NOBODY = 65535
_CPU_SHARES = 2  # the kernel's least: it only waits
_OOM_SCORE_ADJ = -998  # its end would be the pod's


def needs_oci_runtime(sandbox: Sandbox, host: HostFacts) -> bool:
    """Whether only an OCI runtime can start it: in a user namespace, where SELinux goes by a program's file, or where
    its system calls cannot be filtered.
    """
    return sandbox.id_map is not None or host.selinux or not host.seccomp or host.architecture not in SUPPORTED


def infra_process(sandbox: Sandbox, host: HostFacts) -> InfraProcess:
    """What it is when it is started directly."""
    return InfraProcess(sandbox.namespaces, _oom_score_adj(host))


def infra_spec(container_id: str, sandbox: Sandbox, rootfs: str, init_path: str, host: HostFacts) -> Json:
    """Its OCI configuration otherwise: ``init_path`` of the node (catatonit) on the empty directory ``rootfs``.

    It joins the pod's other namespaces, has no capability, no user of the node's, and nothing to write to.
    """
    paths = sandbox.namespaces
    joined = {"network": paths.net, "ipc": paths.ipc, "uts": paths.uts}
    own = ["pid", "mount"]
    own += ["cgroup"] if host.cgroup_mode is CgroupMode.V2 else []
    user = 0 if sandbox.id_map else _NOBODY  # root of a user namespace is nobody on the node
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": False,
            "user": {"uid": user, "gid": user},
            "args": [_INIT, "-P"],
            "env": ["PATH=/"],
            "cwd": "/",
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "noNewPrivileges": True,
            "oomScoreAdj": _oom_score_adj(host),
        },
        "root": {"path": rootfs, "readonly": True},
        "mounts": [
            # OCI runtimes need both to start a process.
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": _INIT, "type": "bind", "source": init_path, "options": ["bind", "rprivate", "ro"]},
        ],
        "annotations": {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": sandbox.id},
        "linux": {
            "namespaces": [
                *({"type": kind} for kind in own),
                *({"type": kind, "path": path} for kind, path in joined.items() if path),
                *joined_user_namespace(sandbox),
            ],
            **id_mappings(sandbox),
            "cgroupsPath": cgroups_path(container_id, sandbox, host),
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "cpu": {"shares": _CPU_SHARES}},
        },
    }


def _oom_score_adj(host: HostFacts) -> int:
    return max(_OOM_SCORE_ADJ, host.oom_score_adj_min)
