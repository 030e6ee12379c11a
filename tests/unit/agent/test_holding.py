"""Whether an agent still holds its name, as its messages tell."""

import pytest

from workers.agent.core.holding import Holding, NameLost
from workers.protocol import Admitted, Order, Orders, Superseded


def orders(*given: Order, fence: int = 0) -> Orders:
    return Orders(host="host-a", sent_at=0, orders=list(given), fence=fence)


def admitted(fence: int) -> Holding:
    holding = Holding("mine")
    holding.check(orders(Admitted(session="mine", fence=fence), fence=fence))
    return holding


@pytest.mark.parametrize("fence", [0, 6, 7])
def test_orders_of_its_own_session_and_those_on_their_way_since_before_it_are_taken(fence: int) -> None:
    admitted(7).check(orders(fence=fence))


def test_a_newer_token_says_that_the_name_is_lost_and_it_stays_lost() -> None:
    holding = admitted(7)

    with pytest.raises(NameLost, match="fencing token 8, not 7"):
        holding.check(orders(fence=8))
    with pytest.raises(NameLost, match="fencing token 8, not 7"):
        holding.check(orders(Admitted(session="mine", fence=9), fence=9))


def test_it_is_told_why_also_before_it_was_ever_admitted() -> None:
    with pytest.raises(NameLost, match="started anew"):
        Holding("mine").check(orders(Superseded(session="mine", reason="started anew"), fence=8))


def test_what_is_said_to_another_session_means_nothing() -> None:
    holding = admitted(7)

    holding.check(orders(Superseded(session="older", reason="gone"), Admitted(session="other", fence=5), fence=7))

    assert holding.fence == 7


def test_one_that_was_not_yet_admitted_takes_what_was_sent_to_its_name() -> None:
    Holding("mine").check(orders(fence=8))
