"""Django's settings, all from the environment; the names are listed in docs/reference/settings.md."""

import os
import secrets
from pathlib import Path
from typing import Any

import dj_database_url

from scheduler_project import admin_theme
from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.data_dir()
ENVIRONMENT = env.effective()

DEBUG = env.flag("SCHEDULER_DEBUG", False)
PRODUCTION = env.flag("SCHEDULER_PRODUCTION", False)
SECRET_KEY = ENVIRONMENT.get("SECRET_KEY", "")
if not SECRET_KEY:
    if PRODUCTION:
        raise ConfigurationError("SECRET_KEY is not set; production needs one of at least 50 random characters")
    SECRET_KEY = secrets.token_urlsafe(50)  # sessions of such a process end with it
ALLOWED_HOSTS = env.words("SCHEDULER_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.words("SCHEDULER_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold",
    "ninja",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "scheduler_project.apps.SchedulerProjectConfig",
    "workers.apps.WorkersConfig",
    "graphs.apps.GraphsConfig",
    "clusters.apps.ClustersConfig",
    "topologies.apps.TopologiesConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "scheduler_project.security.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "scheduler_project.outage.DatabaseAway",
]

ROOT_URLCONF = "scheduler_project.urls"
ASGI_APPLICATION = "scheduler_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "scheduler_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "scheduler_project.toolkit.pages.frame",
            ],
        },
    },
]


DATABASE_CONNECT_TIMEOUT_S = 5


def database_settings(url: str) -> dict[str, Any]:
    """One Django database from its URL; SQLite gets WAL and immediate transactions for many writers."""
    settings: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True))
    if settings["ENGINE"].endswith("sqlite3"):
        settings["CONN_MAX_AGE"] = None
        settings["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        settings["OPTIONS"] = {"connect_timeout": DATABASE_CONNECT_TIMEOUT_S, **settings.get("OPTIONS", {})}
    return settings


def default_database_url() -> str:
    """SQLite in the data folder, which is made where it is missing."""
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {DATA_DIR} cannot be made ({error.strerror}); set SCHEDULER_DATA_DIR to one that can"
        ) from error
    return f"sqlite:///{DATA_DIR / 'scheduler.sqlite3'}"


DATABASE_URL = ENVIRONMENT.get("DATABASE_URL") or default_database_url()
DATABASES = {"default": database_settings(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_SSL_REDIRECT = env.flag("SCHEDULER_SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"event": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("SCHEDULER_LOG_LEVEL", "INFO").upper()},
}

NATS_URI = ENVIRONMENT.get("NATS_URI") or ENVIRONMENT.get("NATS_URL") or ""
NATS_CACERT = ENVIRONMENT.get("NATS_CACERT", "")
NATS_CERT = ENVIRONMENT.get("NATS_CERT", "")
NATS_KEY = ENVIRONMENT.get("NATS_KEY", "")
ETCD_ENDPOINTS = env.words("ETCD_ENDPOINTS", ENVIRONMENT)
ETCD_PREFIX = ENVIRONMENT.get("ETCD_PREFIX", "")
ETCD_CACERT = ENVIRONMENT.get("ETCD_CACERT", "")
ETCD_CERT = ENVIRONMENT.get("ETCD_CERT", "")
ETCD_KEY = ENVIRONMENT.get("ETCD_KEY", "")
ETCD_USER = ENVIRONMENT.get("ETCD_USER", "")
ETCD_PASSWORD = ENVIRONMENT.get("ETCD_PASSWORD", "")
GRAPH_PROVIDERS: dict[str, dict[str, Any]] = {
    "nats": {"BACKEND": "graphs.providers.nats.NatsProvider"},
    "command": {"BACKEND": "graphs.providers.command.CommandProvider"},
    "docker": {"BACKEND": "graphs.providers.docker.DockerProvider"},
    "celery": {
        "BACKEND": "graphs.providers.celery.CeleryProvider",
        "OPTIONS": {"tasks": env.words("SCHEDULER_CELERY_TASKS")},
    },
    "approval": {"BACKEND": "graphs.providers.approval.ApprovalProvider"},
    "graph": {"BACKEND": "graphs.providers.graph.GraphProvider"},
    "http": {
        "BACKEND": "graphs.providers.http.HttpProvider",
        "OPTIONS": {
            "hosts": env.words("SCHEDULER_HTTP_HOSTS"),
            "allow_unverified": env.flag("SCHEDULER_HTTP_UNVERIFIED", False),
        },
    },
}
GRAPH_STORE = env.choice("SCHEDULER_GRAPH_STORE", "own", ("own", "served", "store", "external"))
PUBLIC_URL = os.environ.get("SCHEDULER_PUBLIC_URL", "").rstrip("/")
NATS_STREAM_MAX_AGE_S = env.seconds("SCHEDULER_NATS_STREAM_MAX_AGE_S", 7 * 86400)
NATS_STREAM_MAX_BYTES = env.number("SCHEDULER_NATS_STREAM_MAX_BYTES", 1024 * 1024 * 1024)
GRAPH_SAFE_VERBS = env.words("SCHEDULER_GRAPH_SAFE_VERBS") or ["find", "get", "update", "delete"]
GRAPH_RETRY_DELAY_S = env.seconds("SCHEDULER_GRAPH_RETRY_DELAY_S", 1)
GRAPH_RETRY_DELAY_MAX_S = env.seconds("SCHEDULER_GRAPH_RETRY_DELAY_MAX_S", 300)
GRAPH_BREAKER_FAILURES = env.number("SCHEDULER_GRAPH_BREAKER_FAILURES", 5)
GRAPH_BREAKER_DELAY_S = env.seconds("SCHEDULER_GRAPH_BREAKER_DELAY_S", 10)
GRAPH_BREAKER_DELAY_MAX_S = env.seconds("SCHEDULER_GRAPH_BREAKER_DELAY_MAX_S", 600)
GRAPH_RESEND_S = env.seconds("SCHEDULER_GRAPH_RESEND_S", 10)
GRAPH_REPLY_TIMEOUT_S = env.seconds("SCHEDULER_GRAPH_REPLY_TIMEOUT_S", 0)
SCHEDULER_PLACEMENTS: dict[str, dict[str, Any]] = {
    "round_robin": {"BACKEND": "workers.core.scorers.RoundRobin"},
    "least_loaded": {"BACKEND": "workers.core.scorers.LeastLoaded"},
    "pack": {"BACKEND": "workers.core.scorers.Pack"},
    "random": {"BACKEND": "workers.core.scorers.Chance"},
}
SCHEDULER_PLACEMENT = os.environ.get("SCHEDULER_PLACEMENT", "round_robin")
SCHEDULER_SILENCE_TIMEOUT_S = env.seconds("SCHEDULER_SILENCE_TIMEOUT_S", 10)
SCHEDULER_LOST_AFTER_S = env.seconds("SCHEDULER_LOST_AFTER_S", 300)
SCHEDULER_MISFIRE_GRACE_S = env.seconds("SCHEDULER_MISFIRE_GRACE_S", 60)
SCHEDULER_START_WITHIN_S = env.seconds("SCHEDULER_START_WITHIN_S", 600)
SCHEDULER_MAX_RUNNING_PER_SUBMITTER = env.number("SCHEDULER_MAX_RUNNING_PER_SUBMITTER", 0)
SCHEDULER_KEEP_COMMANDS_DAYS = env.days("SCHEDULER_KEEP_COMMANDS_DAYS", 30)
SCHEDULER_KEEP_EVENTS_DAYS = env.days("SCHEDULER_KEEP_EVENTS_DAYS", 30)
SCHEDULER_KEEP_GRAPHS_DAYS = env.days("SCHEDULER_KEEP_GRAPHS_DAYS", 90)
SCHEDULER_KEEP_WORKERS_DAYS = env.days("SCHEDULER_KEEP_WORKERS_DAYS", 30)
EVENT_POLL_INTERVAL_S = env.seconds("SCHEDULER_EVENT_POLL_INTERVAL_S", 0.25)
UP_STATUS_FILE = os.environ.get("SCHEDULER_UP_STATUS", "")
EXPECTED_HOSTS = env.words("SCHEDULER_EXPECTED_HOSTS")

UNFOLD = admin_theme.UNFOLD
