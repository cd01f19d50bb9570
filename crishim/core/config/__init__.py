"""The configuration: what an operator can set, read from containerd's tables and our own.

What belongs here: the frozen values (types), the keys that TOML may have (tables), comparing a file with
them (check), reading files (read) and putting it together (load, resolve). I/O: reading the configuration files.

Whatever is in a file ends as a value in force, a warning that names the key, or a ConfigError that names file,
key path, what was found and what was expected; check.py states which.
"""

from crishim.core.config.default import default_toml
from crishim.core.config.load import effective, load_config
from crishim.core.config.types import (
    DEFAULT_PATH,
    CniConfig,
    Config,
    ImageConfig,
    IPPreference,
    Loaded,
    LogFormat,
    LogLevel,
    PluginSource,
    RegistryAuth,
    RuntimeHandler,
    StreamServer,
)

__all__ = [
    "DEFAULT_PATH",
    "CniConfig",
    "Config",
    "IPPreference",
    "ImageConfig",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "PluginSource",
    "RegistryAuth",
    "RuntimeHandler",
    "StreamServer",
    "default_toml",
    "effective",
    "load_config",
]
