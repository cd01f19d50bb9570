"""Between the messages about images and the image domain."""

from __future__ import annotations

from crishim.image.credentials import RequestAuth
from crishim.image.fs_info import FilesystemUsage
from crishim.image.progress import Progress
from crishim.image.status import parse_user
from crishim.model.image import ImageRecord
from crishim.rpc.convert.message import Fields
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import images_pb2 as own


def image_fields(image: ImageRecord) -> Fields:
    """An image as lists and statuses show it."""
    uid, username = parse_user(image.user)
    return {
        "id": image.id,
        "repo_tags": image.repo_tags,
        "repo_digests": image.repo_digests,
        "size": image.size,
        "uid": None if uid is None else {"value": uid},
        "username": username,
        "pinned": image.pinned,
    }


def request_auth(message: pb.AuthConfig) -> RequestAuth:
    """The credentials of a PullImage request."""
    return RequestAuth(
        username=message.username,
        password=message.password,
        auth=message.auth,
        server_address=message.server_address,
        identity_token=message.identity_token,
        registry_token=message.registry_token,
    )


def usage_fields(usage: FilesystemUsage) -> Fields:
    """What is in use on a file system."""
    return {
        "timestamp": usage.timestamp,
        "fs_id": {"mountpoint": usage.mountpoint},
        "used_bytes": {"value": usage.used_bytes},
        "inodes_used": {"value": usage.inodes_used},
    }


def progress_message(progress: Progress) -> own.PullEvent:
    """How far a pull is."""
    layers = [
        {"digest": step.digest, "size": step.size, "offset": step.offset, "stage": step.stage.value}
        for step in progress.steps
    ]
    return own.PullEvent(doing=progress.doing, layers=layers)
