"""Components carried out by connectors on NATS: sent by the bridge, settled by replies on `….done` and `….error`."""

from collections.abc import Sequence
from datetime import datetime

from graphs.core.cancelling import Told
from graphs.providers.base import InFlight, Provider
from graphs.store.notices import leave_notices


class NatsProvider(Provider):
    """Sends `<_component>.<_action>.<_provider>`. Only a bridge process claims these components.

    A cancel is told on `….cancel` where somebody asks for it: connectors of ernest's kind know no such subject.
    """

    supports_cancel = True
    told_only_when_asked = True

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        leave_notices(unwanted, now)
