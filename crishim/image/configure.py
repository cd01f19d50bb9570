"""From the configuration file to the settings of the image domain. Pure."""

from __future__ import annotations

from pathlib import Path

from crishim.core.config import Config, RegistryAuth
from crishim.core.errors import ConfigError, InvalidArgumentError
from crishim.image.credentials import RequestAuth, credentials_of
from crishim.image.reference import parse_reference
from crishim.image.settings import Credentials, ImageSettings, Limits


def image_root(config: Config) -> Path:
    """Where everything of the images lies."""
    return config.root / "images"


def image_settings(config: Config) -> ImageSettings:
    """What ``config`` says about images; raises ConfigError for a name or credentials that are none."""
    images = config.images
    return ImageSettings(
        root=image_root(config),
        config_path=images.config_path,
        credentials={host: _credentials(host, auth) for host, auth in images.auths.items()},
        limits=Limits(
            max_layers=images.max_layers,
            max_image_bytes=images.max_image_bytes,
            max_unpacked_bytes=images.max_unpacked_bytes,
            max_entries=images.max_entries,
        ),
        max_concurrent_downloads=images.max_concurrent_downloads,
        progress_timeout=images.progress_timeout,
        discard_unpacked_layers=images.discard_unpacked_layers,
        pinned=tuple(_normal(name) for name in images.pinned),
    )


def _credentials(host: str, auth: RegistryAuth) -> Credentials:
    request = RequestAuth(auth.username, auth.password, auth.auth, identity_token=auth.identity_token)
    try:
        return credentials_of(request) or Credentials()
    except InvalidArgumentError as exc:
        raise ConfigError(f"registry.configs.{host}: {exc}") from exc


def _normal(name: str) -> str:
    try:
        return str(parse_reference(name))
    except InvalidArgumentError as exc:
        raise ConfigError(f"pinned_images: {exc}") from exc
