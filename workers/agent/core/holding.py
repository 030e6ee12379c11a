"""Whether this agent still holds its host's name, told from the fencing tokens of what it is sent.

Invariant: a name that was lost is never held again by the same session.
"""

from workers.protocol import Admitted, Orders, Superseded


class NameLost(Exception):
    """A newer agent holds the name; what was sent is for that one."""


class Holding:
    """One session's hold on the name. `fence` is its token, 0 until control has admitted it."""

    def __init__(self, session: str) -> None:
        self._session = session
        self.fence = 0
        self.lost = ""

    def check(self, orders: Orders) -> None:
        """Learns from a message, before any of it is carried out. Raises NameLost."""
        for order in orders.orders:
            if isinstance(order, Admitted | Superseded) and order.session == self._session:
                self._heard(order)
        if not self.lost and 0 < self.fence < orders.fence:
            self.lost = f"a newer agent holds the name, with the fencing token {orders.fence}, not {self.fence}"
        if self.lost:
            raise NameLost(self.lost)

    def _heard(self, order: Admitted | Superseded) -> None:
        if isinstance(order, Superseded):
            self.lost = self.lost or order.reason
        else:
            self.fence = max(self.fence, order.fence)
