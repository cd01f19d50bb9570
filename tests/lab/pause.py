"""The pause image that the peer needs: Debian's static catatonit, which waits and reaps, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

_CATATONIT = Path("/usr/bin/catatonit")
_OCI = "application/vnd.oci.image"


def write_pause_archive(path: Path, name: str) -> None:
    """Write an OCI image layout as a tar at ``path``, its one image called ``name`` (OCI image spec 1.1)."""
    layer = _tar({"pause": _CATATONIT.read_bytes()}, mode=0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause", "-P"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = {"layer": layer, "config": _json(config)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _descriptor(f"{_OCI}.config.v1+json", blobs["config"]),
        "layers": [_descriptor(f"{_OCI}.layer.v1.tar", layer)],
    }
    blobs["manifest"] = _json(manifest)
    entry = _descriptor(f"{_OCI}.manifest.v1+json", blobs["manifest"])
    entry["annotations"] = {"io.containerd.image.name": name}
    files = {f"blobs/{_digest(blob).replace(':', '/')}": blob for blob in blobs.values()}
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    files["index.json"] = _json({"schemaVersion": 2, "manifests": [entry]})
    path.write_bytes(_tar(files))


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
