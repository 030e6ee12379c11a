"""Celery's settings, from the environment alone, so that a host agent can read them without Django.

Each value that is not Celery's default answers a measured fault: a Redis-compatible broker redelivers only after its
visibility timeout, gossip between workers grows with their square, and results of tasks nobody reads fill the broker.
"""

from collections.abc import Mapping
from typing import Any

from scheduler_project.process import CONTROL_QUEUE

DEFAULT_BROKER_URL = "redis://127.0.0.1:6379/0"
VISIBILITY_TIMEOUT_S = 900
TASK_TIME_LIMIT_S = 300


def celery_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Lower-case Celery settings for every process of the project."""
    broker_url = environ.get("BROKER_URL", DEFAULT_BROKER_URL)
    settings: dict[str, Any] = {
        "broker_url": broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": transport_options(broker_url),
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
    return settings


def transport_options(broker_url: str) -> dict[str, Any]:
    """Options of the broker's transport: quick restoring on Redis-compatible brokers, confirmed sends on RabbitMQ."""
    if broker_url.startswith(("redis", "rediss", "valkey")):
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
