"""What the configuration says about images."""

from __future__ import annotations

from crishim.core.config import RegistryAuth, effective
from tests.unit.crishim.core.config.conftest import Load

TEXT = """
version = 3
[crishim.images]
max_layers = 3
max_unpacked_bytes = 1000
[plugins."io.containerd.cri.v1.images"]
image_pull_progress_timeout = "90s"
discard_unpacked_layers = true
pinned_images = { sandbox = "reg.io/pause:1" }
[plugins."io.containerd.cri.v1.images".registry.configs."reg.io".auth]
username = "u"
password = "hush"
[plugins."io.containerd.cri.v1.images".registry.configs."other.io"]
"""


def test_what_is_honoured(load: Load) -> None:
    images = load(TEXT).config.images
    assert images.auths == {"reg.io": RegistryAuth("u", "hush")}
    assert (images.pinned, images.progress_timeout) == (("reg.io/pause:1",), 90.0)
    assert (images.discard_unpacked_layers, images.max_layers, images.max_unpacked_bytes) == (True, 3, 1000)


def test_passwords_are_not_shown(load: Load) -> None:
    config = load(TEXT).config
    assert "hush" not in repr(config) + str(effective(config))
