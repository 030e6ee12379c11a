"""When reports are sent: one envelope is on its way at a time, so what control applies it applies in order.

Invariant: while an envelope is unconfirmed nothing newer is sent without what is in it.
"""

from dataclasses import dataclass

RESEND_S = 3.0
RESEND_MAX_S = 30.0


@dataclass(frozen=True)
class Window:
    """The envelope on its way: its last report's number (0: none), when it is sent again, how often it was sent."""

    sent_to: int = 0
    resend_at: float = 0
    sendings: int = 0

    def due_at(self, newest: int, now: float) -> float | None:
        """When to send, given the newest unreported number; None while there is nothing to send."""
        if newest == 0:
            return None
        return now if self.sent_to == 0 else max(now, self.resend_at)

    def sent(self, to: int, now: float) -> "Window":
        """After an envelope that ends with report `to`."""
        return Window(to, now + patience_s(self.sendings), self.sendings + 1)

    def applied(self, seq: int) -> "Window":
        """After control's word that all up to `seq` is applied; an old word changes nothing."""
        return Window() if seq >= self.sent_to else self


def patience_s(sendings: int) -> float:
    """How long to wait for control's word: longer each time, so that copies do not pile up."""
    return min(RESEND_MAX_S, RESEND_S * 2.0 ** min(sendings, 10))
