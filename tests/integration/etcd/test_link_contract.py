"""What a link to etcd does, held against a real etcd and against its twin in memory."""

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest

from scheduler_project.toolkit.errors import ConfigurationError, Unavailable
from tests.support.servers import EtcdServer, free_port
from tests.support.wait import wait_until
from workers.links.etcd import Change, Etcd, EtcdAddress, EtcdLink, Guard, Put, Refused, Watch
from workers.links.testing import MemoryEtcd, MemoryLink

NewLink = Callable[[], Etcd]


@pytest.fixture(params=["memory", "etcd"])
def new_link(request: pytest.FixtureRequest) -> Iterator[NewLink]:
    """Makes links to one server."""
    server = MemoryEtcd() if request.param == "memory" else request.getfixturevalue("etcd_server")
    links: list[Etcd] = []

    def make() -> Etcd:
        links.append(MemoryLink(server) if isinstance(server, MemoryEtcd) else EtcdLink(EtcdAddress((server.url,))))
        return links[-1]

    yield make
    for link in links:
        link.close()


@pytest.fixture
def prefix() -> str:
    """The beginning of keys that no other test uses."""
    return f"t{uuid.uuid4().hex}_"


def taken(watch: Watch, count: int) -> list[Change]:
    """`count` changes, once they have come."""
    found: list[Change] = []

    def enough() -> bool:
        found.extend(watch.take(0.05))
        return len(found) >= count

    wait_until(enough, what=f"{count} changes")
    return found


def test_what_is_written_is_read_in_the_order_of_its_keys(new_link: NewLink, prefix: str) -> None:
    link = new_link()

    revision = link.write([Put(f"{prefix}{n}", b"\xff%d" % n) for n in (2, 1, 3)], [], [])

    assert [(one.key, one.value, one.revision) for one in new_link().read(prefix)] == [
        (f"{prefix}{n}", b"\xff%d" % n, revision) for n in (1, 2, 3)
    ]


def test_reading_goes_on_after_a_key(new_link: NewLink, prefix: str) -> None:
    link = new_link()
    link.write([Put(f"{prefix}{n}", b"") for n in range(5)], [], [])

    first = link.read(prefix, limit=3)
    rest = link.read(prefix, after=first[-1].key)

    assert [record.key[-1] for record in first] == ["0", "1", "2"]
    assert [record.key[-1] for record in rest] == ["3", "4"]


def test_keys_that_are_there_are_told_from_those_that_are_not(new_link: NewLink, prefix: str) -> None:
    link = new_link()
    link.write([Put(f"{prefix}a", b"")], [], [])

    assert link.present([f"{prefix}a", f"{prefix}b"]) == {f"{prefix}a"}


def test_a_guard_that_does_not_hold_keeps_the_whole_write_back(new_link: NewLink, prefix: str) -> None:
    link, key = new_link(), f"{prefix}a"
    first = link.write([Put(key, b"1")], [], [Guard(key, 0)])
    assert first is not None

    assert link.write([Put(key, b"2"), Put(f"{prefix}b", b"2")], [], [Guard(key, 0)]) is None
    assert [record.value for record in link.read(prefix)] == [b"1"]
    assert link.write([Put(key, b"2")], [], [Guard(key, first)]) == first + 1


def test_keys_are_deleted(new_link: NewLink, prefix: str) -> None:
    link = new_link()
    link.write([Put(f"{prefix}a", b""), Put(f"{prefix}b", b"")], [], [])

    link.write([], [f"{prefix}a", f"{prefix}never"], [])

    assert [record.key for record in link.read(prefix)] == [f"{prefix}b"]


def test_a_key_goes_with_its_lease(new_link: NewLink, prefix: str) -> None:
    link = new_link()
    lease = link.grant(2)
    link.write([Put(f"{prefix}a", b"", lease)], [], [])

    assert link.read(prefix)[0].lease == lease
    assert link.keep_alive(lease)
    wait_until(lambda: not link.read(prefix), what="the end of the lease")
    assert not link.keep_alive(lease)


def test_a_watch_tells_puts_deletes_and_ended_leases_in_order(new_link: NewLink, prefix: str) -> None:
    link = new_link()
    link.write([Put(f"{prefix}a", b"before")], [], [])
    watch = link.watch([f"{prefix}a", f"{prefix}b"])

    first = link.write([Put(f"{prefix}a", b"1"), Put(f"{prefix}c", b"not watched")], [], [])
    link.write([], [f"{prefix}a"], [])
    link.write([Put(f"{prefix}b", b"2", link.grant(2))], [], [])
    assert first is not None

    assert taken(watch, 4) == [
        Change(f"{prefix}a", b"1", first),
        Change(f"{prefix}a", None, first + 1),
        Change(f"{prefix}b", b"2", first + 2),
        Change(f"{prefix}b", None, first + 3),
    ]


def test_a_watch_without_news_waits_for_its_time(new_link: NewLink, prefix: str) -> None:
    assert new_link().watch([prefix]).take(0.01) == []


def test_a_closed_watch_says_so(new_link: NewLink, prefix: str) -> None:
    watch = new_link().watch([prefix])
    watch.close()

    with pytest.raises(Unavailable, match="ended"):
        taken(watch, 1)


def test_an_outage_is_told_breaks_the_watch_and_is_survived(etcd_server: EtcdServer, prefix: str) -> None:
    link = EtcdLink(EtcdAddress((etcd_server.url,)))
    watch = link.watch([prefix])
    link.write([Put(f"{prefix}a", b"kept")], [], [])
    taken(watch, 1)

    etcd_server.kill()
    try:
        with pytest.raises(Unavailable, match="ended"):
            taken(watch, 1)
        with pytest.raises(Unavailable, match="does not answer"):
            link.read(prefix)
    finally:
        etcd_server.start()

    assert [record.value for record in link.read(prefix)] == [b"kept"]
    link.close()


def test_the_next_endpoint_is_asked_where_one_is_down(etcd_server: EtcdServer, prefix: str) -> None:
    link = EtcdLink(EtcdAddress((f"127.0.0.1:{free_port()}", etcd_server.url)))

    link.write([Put(f"{prefix}a", b"")], [], [])

    assert len(link.read(prefix)) == 1
    link.close()


def test_a_closed_link_leaves_no_thread(etcd_server: EtcdServer, prefix: str) -> None:
    link = EtcdLink(EtcdAddress((etcd_server.url,)))
    for _ in range(5):
        link.watch([prefix])
    link.close()

    wait_until(lambda: all(one.name != "etcd-watch" for one in threading.enumerate()), what="the end of the threads")


def test_a_record_that_is_too_large_is_refused(etcd_server: EtcdServer, prefix: str) -> None:
    link = EtcdLink(EtcdAddress((etcd_server.url,)))

    with pytest.raises(Refused, match="too large"):
        link.write([Put(f"{prefix}a", b"x" * 2_000_000)], [], [])
    link.close()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"endpoints": ("ftp://etcd:2379",)}, "ETCD_ENDPOINTS"),
        ({"endpoints": ("http://",)}, "ETCD_ENDPOINTS"),
        ({"endpoints": ("etcd",), "cert": "/a"}, "ETCD_KEY"),
        ({"endpoints": ("etcd",), "ca_cert": "/not/there"}, "ETCD_CACERT"),
    ],
)
def test_an_address_that_cannot_be_used_names_its_variable(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        EtcdLink(EtcdAddress(**fields))  # type: ignore[arg-type]
