"""What a link to NATS does, held against the real server and against its twin in memory."""

import socketserver
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graphs.testing import LoopbackLink, LoopbackServer, matches
from scheduler_project.toolkit.errors import Unavailable
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import Link, NatsLink

NewLink = Callable[..., Link]
INFO = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'


class RecordingServer:
    """Keeps all that a client says, and answers its PINGs."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.reading = threading.Event()
        self.reading.set()
        heard, reading = self.heard, self.reading

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(INFO)
                while reading.wait(30) and (received := self.request.recv(65536)):
                    heard.extend(received)
                    self.request.sendall(b"PONG\r\n" * received.count(b"PING\r\n"))

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "RecordingServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=["loopback", "nats"])
def new_link(request: pytest.FixtureRequest) -> Iterator[NewLink]:
    """Makes connected links, all to one server."""
    server = LoopbackServer() if request.param == "loopback" else request.getfixturevalue("nats_server")
    links: list[Link] = []

    def make(*subscriptions: str, group: str = "") -> Link:
        link: Link
        if isinstance(server, LoopbackServer):
            link = LoopbackLink(server, subscriptions, group or uuid.uuid4().hex)
        else:
            link = NatsLink(server.url, subscriptions, group or uuid.uuid4().hex, "test")
        links.append(link)
        link.start()
        wait_until(lambda: link.connected, what="a connection")
        return link

    yield make
    for link in links:
        link.stop()


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"t{uuid.uuid4().hex}"


def drained(link: Link, count: int) -> list[Message]:
    """`count` messages, once they have come."""
    found: list[Message] = []

    def enough() -> bool:
        found.extend(link.take(100, 0.05))
        return len(found) >= count

    wait_until(enough, what=f"{count} messages")
    return found


def test_messages_come_in_order_with_headers_and_reply_subjects(new_link: NewLink, subject: str) -> None:
    receiver = new_link(f"{subject}.*")
    sent = [Message(f"{subject}.a", b"%d" % n, f"{subject}.b.inbox", {"Scheduler-Attempt": str(n)}) for n in range(50)]
    new_link().publish(sent)
    assert drained(receiver, 50) == sent


def test_only_matching_subjects_are_received(new_link: NewLink, subject: str) -> None:
    receiver = new_link(f"{subject}.*.done")
    wrong = [f"{subject}.done", f"{subject}.a.b.done", f"{subject}.a.error"]
    new_link().publish([Message(one, b"") for one in (*wrong, f"{subject}.a.done")])
    assert [message.subject for message in drained(receiver, 1)] == [f"{subject}.a.done"]


def test_members_of_a_group_share_the_messages(new_link: NewLink, subject: str) -> None:
    group = [new_link(subject, group="g") for _ in range(2)]
    new_link().publish([Message(subject, b"%d" % n) for n in range(40)])
    found: list[list[Message]] = [[], []]

    def all_came() -> bool:
        for one, link in zip(found, group, strict=True):
            one.extend(link.take(100, 0.05))
        return sum(len(one) for one in found) == 40

    wait_until(all_came, what="40 messages in the group")
    assert found[0]
    assert found[1]


def test_who_left_the_group_receives_no_more_but_keeps_what_came(new_link: NewLink, subject: str) -> None:
    stays, leaves, sender = new_link(subject, group="g"), new_link(subject, group="g"), new_link()
    leaves.stop_receiving()
    sender.publish([Message(subject, b"%d" % n) for n in range(20)])
    assert len(drained(stays, 20)) == 20
    assert leaves.take(10, 0.01) == []
    assert leaves.connected


def test_waiting_for_messages_can_be_interrupted(new_link: NewLink, subject: str) -> None:
    link = new_link(subject)
    link.wake()
    assert link.take(10, 30) == []


def test_nothing_is_sent_without_a_connection(new_link: NewLink, subject: str) -> None:
    link = new_link(subject)
    link.stop()
    assert not link.connected
    with pytest.raises(Unavailable):
        link.publish([Message(subject, b"")])


def test_what_is_posted_arrives_and_is_confirmed(new_link: NewLink, subject: str) -> None:
    receiver, sender = new_link(subject), new_link()

    connection = sender.post([Message(subject, b"%d" % n) for n in range(20)])

    assert sender.confirm(connection)
    assert [message.data for message in drained(receiver, 20)] == [b"%d" % n for n in range(20)]


def test_nothing_is_posted_or_confirmed_without_a_connection(new_link: NewLink, subject: str) -> None:
    link = new_link(subject)
    connection = link.post([Message(subject, b"")])
    link.stop()
    assert not link.confirm(connection)
    with pytest.raises(Unavailable):
        link.post([Message(subject, b"")])


def test_the_server_tells_its_limit(new_link: NewLink) -> None:
    assert new_link().max_payload == 1024 * 1024


def test_an_outage_is_survived(nats_server: Any, subject: str) -> None:
    link = NatsLink(nats_server.url, [subject], "g", "test")
    link.start()
    link.wait_connected(10)
    nats_server.kill()
    wait_until(lambda: not link.connected, what="the outage to be seen")
    with pytest.raises(Unavailable, match="not reached"):
        link.publish([Message(subject, b"")])

    nats_server.start()
    link.wait_connected(20)
    link.publish([Message(subject, b"back")])
    assert [message.data for message in drained(link, 1)] == [b"back"]
    link.stop()


def test_what_was_posted_before_an_outage_is_never_confirmed(nats_server: Any, subject: str) -> None:
    link = NatsLink(nats_server.url, [], "g", "test")
    link.start()
    link.wait_connected(10)
    connection = link.post([Message(subject, b"")])
    nats_server.kill()
    wait_until(lambda: not link.connected, what="the outage to be seen")
    nats_server.start()
    link.wait_connected(20)

    assert not link.confirm(connection)
    assert link.confirm(link.post([Message(subject, b"")]))
    link.stop()


def test_the_server_is_asked_for_a_sign_only_after_it_was_told_all(subject: str) -> None:
    with RecordingServer() as server:
        link = NatsLink(server.url, [], "g", "test")
        link.start()
        link.wait_connected(10)
        server.reading.clear()
        link.post([Message(subject, b"more than sockets hold" * 40_000) for _ in range(9)])
        last = threading.Thread(target=link.publish, args=([Message(f"{subject}.last", b"")],))
        last.start()
        wait_until(lambda: link._client.pending_data_size > 0, what="something to be left unsent")
        server.reading.set()
        last.join()

        told = bytes(server.heard)
        assert told.rindex(b"PING") > told.index(f"PUB {subject}.last".encode())
        link.stop()


def test_a_server_that_is_not_there_yet_is_awaited(free_nats_url: str) -> None:
    link = NatsLink(free_nats_url, [], "g", "test")
    link.start()
    with pytest.raises(Unavailable, match="not reached within"):
        link.wait_connected(0.2)
    link.stop()


@pytest.fixture
def free_nats_url() -> str:
    """An address where nobody listens."""
    from tests.support.servers import free_port

    return f"nats://127.0.0.1:{free_port()}"


@pytest.mark.parametrize(
    ("pattern", "subject", "result"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("*.*.*.done", "a.b.c.done", True),
        ("*.*.*.done", "a.b.done", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a.b", True),
        ("a.b", "a.c", False),
    ],
)
def test_the_twin_matches_subjects_as_nats_does(pattern: str, subject: str, result: bool) -> None:
    assert matches(pattern, subject) is result
