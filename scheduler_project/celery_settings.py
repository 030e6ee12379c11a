"""Celery's settings, from the environment alone, so that a host agent can read them without Django.

Each value that is not Celery's default answers a measured fault: a Redis-compatible broker redelivers only after its
visibility timeout, gossip between workers grows with their square, and results of tasks nobody reads fill the broker.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from scheduler_project.process import CONTROL_QUEUE
from scheduler_project.toolkit.errors import ConfigurationError

DEFAULT_BROKER_URL = "redis://127.0.0.1:6379/0"
VISIBILITY_TIMEOUT_S = 900
TASK_TIME_LIMIT_S = 300
RESULT_EXPIRES_S = 86400
RESULT_CHORD_EXPIRES_S = 7 * 86400
TLS_SCHEMES = ("rediss", "valkeys", "amqps")
TLS_FILES = ("BROKER_CACERT", "BROKER_CERT", "BROKER_KEY")


def celery_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Lower-case Celery settings for every process of the project. Raises ConfigurationError."""
    broker_url = environ.get("BROKER_URL", DEFAULT_BROKER_URL)
    settings: dict[str, Any] = {
        "broker_url": broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": transport_options(broker_url),
        "broker_use_ssl": tls_options(broker_url, environ),
        "task_default_queue": CONTROL_QUEUE,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": TASK_TIME_LIMIT_S,
        "task_soft_time_limit": TASK_TIME_LIMIT_S - 30,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_soft_shutdown_timeout": 10,
        "worker_hijack_root_logger": True,
        "worker_send_task_events": False,
        "worker_pool": "threads",
        "enable_utc": True,
        "timezone": "UTC",
    }
    backend = result_backend(environ)
    if backend:
        settings |= {
            "result_backend": backend,
            "result_expires": RESULT_EXPIRES_S,
            "result_chord_expires": RESULT_CHORD_EXPIRES_S,
        }
    return settings


def result_backend(environ: Mapping[str, str]) -> str:
    """Where results of components that are Celery tasks are kept: as given, else a Redis-compatible broker, else none.

    Where no such task is allowed nothing reads a result, so there is none.
    """
    if not environ.get("SCHEDULER_CELERY_TASKS"):
        return ""
    broker_url = environ.get("BROKER_URL", DEFAULT_BROKER_URL)
    return environ.get("SCHEDULER_RESULT_BACKEND") or (broker_url if is_redis(broker_url) else "")


def is_redis(broker_url: str) -> bool:
    """Whether a broker speaks Redis's protocol."""
    return broker_url.startswith(("redis", "rediss", "valkey"))


def transport_options(broker_url: str) -> dict[str, Any]:
    """Options of the broker's transport: quick restoring on Redis-compatible brokers, confirmed sends on RabbitMQ."""
    if is_redis(broker_url):
        return {
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "priority_steps": [0],
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        }
    return {"confirm_publish": True}


def tls_options(broker_url: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """How the broker is verified, by its name too, and what it is shown of us; None for a broker without TLS.

    Raises ConfigurationError, naming the variables, for certificates that cannot be used.
    """
    ca_cert, cert, key = (environ.get(name) or None for name in TLS_FILES)
    if not broker_url.startswith(TLS_SCHEMES):
        if ca_cert or cert or key:
            raise ConfigurationError(f"{', '.join(TLS_FILES)} are for a broker with TLS; BROKER_URL is not one")
        return None
    _check_certificates(ca_cert, cert, key)
    if broker_url.startswith("amqps"):
        named = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
        return named | {"ca_certs": ca_cert, "certfile": cert, "keyfile": key}
    verified: dict[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    return verified | {"ssl_ca_certs": ca_cert, "ssl_certfile": cert, "ssl_keyfile": key}


def _check_certificates(ca_cert: str | None, cert: str | None, key: str | None) -> None:
    """A file that is wrong would else be met at each connection, again and again."""
    if bool(cert) != bool(key):
        raise ConfigurationError("BROKER_CERT and BROKER_KEY belong together; set both or none")
    try:
        context = ssl.create_default_context(cafile=ca_cert)
        if cert:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError(f"{', '.join(TLS_FILES)}: a file of these cannot be used: {error}") from error
