"""The NATS server of the settings, with the authority and the certificate of one's own.

Invariant: every connection of the bridge to NATS is made here, so none goes without the certificates that were set.
"""

import ssl
from collections.abc import Sequence

from django.conf import settings

from scheduler_project.toolkit.errors import ConfigurationError
from workers.links.jetstream import Capture
from workers.links.nats import NatsLink


def link(subscriptions: Sequence[str], group: str, name: str, capture: Capture | None = None) -> NatsLink:
    """A link to the server of `NATS_URI`. Raises ConfigurationError where a certificate cannot be used."""
    return NatsLink(settings.NATS_URI, subscriptions, group, name, capture, certificates())


def certificates() -> ssl.SSLContext | None:
    """What `NATS_CACERT`, `NATS_CERT` and `NATS_KEY` name; None where nothing is set, which is the system's."""
    cacert, cert, key = settings.NATS_CACERT, settings.NATS_CERT, settings.NATS_KEY
    if not (cacert or cert or key):
        return None
    if bool(cert) != bool(key):
        raise ConfigurationError("NATS_CERT and NATS_KEY belong together; set both or neither")
    try:
        context = ssl.create_default_context(cafile=cacert or None)
        if cert:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError(f"NATS_CACERT, NATS_CERT and NATS_KEY cannot be used: {error}") from error
    return context
