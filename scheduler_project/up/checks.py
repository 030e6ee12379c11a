"""What must be true before `up` starts anything."""

from collections.abc import Mapping

from scheduler_project.up import ports
from scheduler_project.up.layout import Options

DEFAULT_PORTS = {"amqp": 5672, "redis": 6379, "postgres": 5432, "nats": 4222}
ADDRESS_VARIABLES = ("BROKER_URL", "NATS_URI", "NATS_URL", "DATABASE_URL")


def check_surroundings(options: Options, environ: Mapping[str, str]) -> None:
    """Raises PortBusy or ServerUnreachable, naming the option or variable to change."""
    ports.require_free(options.web_port, options.address, "--port")
    for name in ADDRESS_VARIABLES:
        url = environ.get(name, "")
        scheme = url.partition(":")[0].replace("postgresql", "postgres")
        if scheme not in DEFAULT_PORTS and scheme.endswith("s"):
            scheme = scheme[:-1]
        if scheme in DEFAULT_PORTS:
            ports.require_server(name, url, DEFAULT_PORTS[scheme])
