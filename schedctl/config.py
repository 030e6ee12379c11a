"""Finds out which server to talk to and as whom: flag, then environment, then the first configuration file found.

Invariant: the token appears in no message and in no representation of the settings.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schedctl.documents import load_document, read_text
from schedctl.durations import parse_duration
from schedctl.errors import ConfigError, CtlError

DEFAULT_SERVER = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 10.0
SEARCHED = ("./.scheduler/schedctl.yaml", "~/.config/schedctl.yaml", "/etc/go-schedule/schedctl.yaml")
CERTIFICATE_VARIABLES = {"cacert": "SCHEDCTL_CACERT", "cert": "SCHEDCTL_CERT", "key": "SCHEDCTL_KEY"}
VERBOSE_LEVELS = frozenset({"debug", "trace"})
LOG_LEVELS = VERBOSE_LEVELS | {"panic", "fatal", "error", "warn", "warning", "info"}


@dataclass(frozen=True)
class Flags:
    """What was given on the command line; empty where nothing was."""

    config: str = ""
    server: str = ""
    token: str = field(default="", repr=False)
    cacert: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: of the authority that signed the server's certificate, and of our own with its key."""

    cacert: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True)
class Settings:
    """Where and how to call. `server` is a URL without a slash at its end; `notes` are warnings for the operator."""

    server: str
    token: str = field(default="", repr=False)
    timeout_s: float = DEFAULT_TIMEOUT_S
    verbose: bool = False
    source: str = ""
    notes: tuple[str, ...] = ()
    certificates: Certificates = Certificates()


def resolve(flags: Flags, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises ConfigError, naming the file and key, or the flag or variable."""
    path = find_file(flags, environ)
    keys = read_file(path) if path else {}
    where = str(path) if path else ""
    file_token = text_of(keys, "token", where)
    return Settings(
        server=first_server(flags, environ, text_of(keys, "server_address", where), where),
        token=checked_token(flags.token or environ.get("SCHEDCTL_TOKEN", "") or file_token),
        timeout_s=timeout_of(keys, where),
        verbose=log_level_of(keys, where) in VERBOSE_LEVELS,
        source=where,
        notes=tuple(warnings_of(path)) if path and file_token else (),
        certificates=certificates_of(flags, environ, keys, where),
    )


def find_file(flags: Flags, environ: Mapping[str, str]) -> Path | None:
    """The named file, which must exist, else the first of the usual ones that exists."""
    named = flags.config or environ.get("SCHEDCTL_CONFIG", "")
    if named:
        return Path(named).expanduser()
    usual = (Path(one).expanduser() for one in SEARCHED)
    return next((path for path in usual if path.is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """The file's keys; an empty file has none."""
    try:
        found = load_document(read_text(str(path)), str(path))
    except CtlError as error:
        raise ConfigError(f"configuration: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"configuration: {path} must hold keys such as server_address: 127.0.0.1:8000")
    return found


def text_of(keys: Mapping[str, Any], key: str, where: str) -> str:
    value = keys.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"configuration: {where}: {key} must be text; put it in quotes")
    return value.strip()


def certificates_of(flags: Flags, environ: Mapping[str, str], keys: Mapping[str, Any], where: str) -> Certificates:
    def chosen(name: str) -> str:
        path = getattr(flags, name) or environ.get(CERTIFICATE_VARIABLES[name], "") or text_of(keys, name, where)
        return str(Path(path).expanduser()) if path else ""

    found = Certificates(chosen("cacert"), chosen("cert"), chosen("key"))
    if bool(found.cert) != bool(found.key):
        raise ConfigError("a certificate and its key belong together: set both --cert and --key, or none")
    return found


def first_server(flags: Flags, environ: Mapping[str, str], from_file: str, where: str) -> str:
    named = (
        (flags.server, "--server"),
        (environ.get("SCHEDCTL_SERVER", ""), "SCHEDCTL_SERVER"),
        (from_file, f"{where}: server_address"),
        (DEFAULT_SERVER, "the default"),
    )
    address, origin = next(pair for pair in named if pair[0])
    return server_url(address, origin)


def server_url(address: str, origin: str) -> str:
    """`host:port` or a URL, as a URL. Raises ConfigError naming `origin`."""
    url = address if "://" in address else f"http://{address}"
    fault = ConfigError(f"{origin}: {address!r} is not an address; use host:port or http://host:port")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise fault from error
    unfit = parts.scheme not in ("http", "https") or not host or port == 0 or parts.query or parts.fragment
    if unfit or "@" in parts.netloc or not url.isprintable() or not url.isascii() or " " in url:
        raise fault
    return url.rstrip("/")


def checked_token(token: str) -> str:
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("the token holds characters that no token has; copy it again")
    return token


def timeout_of(keys: Mapping[str, Any], where: str) -> float:
    value = keys.get("connection_timeout")
    if value is None:
        return DEFAULT_TIMEOUT_S
    try:
        timeout_s = parse_duration(str(value))
    except ValueError as error:
        raise ConfigError(f"configuration: {where}: connection_timeout: {error}") from error
    if timeout_s <= 0:
        raise ConfigError(f"configuration: {where}: connection_timeout must be above 0, such as 10 or 500ms")
    return timeout_s


def log_level_of(keys: Mapping[str, Any], where: str) -> str:
    """Of go-schedule's `basic_config` only the level is used; it may be missing."""
    basic = keys.get("basic_config")
    level = basic.get("log_level") if isinstance(basic, dict) else None
    if level is None:
        return ""
    if str(level).lower() not in LOG_LEVELS:
        known = ", ".join(sorted(LOG_LEVELS))
        raise ConfigError(f"configuration: {where}: basic_config.log_level: {level!r} is none of {known}")
    return str(level).lower()


def warnings_of(path: Path) -> list[str]:
    """What is unsafe about a file that holds a token."""
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return [f"{path} holds a token and other users can read it; run: chmod 600 {path}"]
    return []
