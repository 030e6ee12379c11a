"""Components carried out by connectors on NATS: sent by the bridge, settled by replies on `….done` and `….error`."""

from graphs.providers.base import Provider


class NatsProvider(Provider):
    """Sends `<_component>.<_action>.<_provider>`. Only a bridge process claims these components."""
