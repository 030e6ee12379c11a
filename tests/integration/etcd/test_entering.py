"""How etcd is entered: certificates, a login, and clusters of which a member goes."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scheduler_project.toolkit.errors import Unavailable
from tests.conftest import missing
from tests.support.certificates import Authority, Pair
from tests.support.servers import EtcdServer, MissingServer, free_port
from tests.support.wait import wait_until
from workers.links.etcd import EtcdAddress, EtcdLink, Put, Watch

ROOT_LOGIN = ("--user", "root:rootpass")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    """A certificate of the authority."""
    return authority.issue("etcd")


@pytest.fixture(scope="module")
def tls_server(authority: Authority, pair: Pair) -> Iterator[EtcdServer]:
    """An etcd that lets in only who shows a certificate of the authority."""
    options = ("--cert-file", str(pair.cert), "--key-file", str(pair.key))
    trusts = ("--client-cert-auth", "--trusted-ca-file", str(authority.cert))
    try:
        with closing(EtcdServer(*options, *trusts, scheme="https")) as server:
            yield server
    except MissingServer as error:
        missing(error)


def entered(address: EtcdAddress) -> None:
    """Writes, reads and watches. Raises what keeps one out."""
    with closing(EtcdLink(address)) as link:
        watch = link.watch(["key"])
        link.write([Put("key", b"value")], [], [])
        wait_until(lambda: watch.take(0.1), what="the change")
        assert link.read("key")[0].value == b"value"


def test_with_a_certificate_of_its_authority_etcd_lets_one_in(
    tls_server: EtcdServer, authority: Authority, pair: Pair
) -> None:
    entered(EtcdAddress((tls_server.url,), str(authority.cert), str(pair.cert), str(pair.key)))


def test_an_endpoint_without_a_scheme_is_taken_as_https_where_an_authority_is_given(
    tls_server: EtcdServer, authority: Authority, pair: Pair
) -> None:
    entered(EtcdAddress((f"localhost:{tls_server.port}",), str(authority.cert), str(pair.cert), str(pair.key)))


def test_without_a_certificate_one_is_kept_out(tls_server: EtcdServer, authority: Authority) -> None:
    with pytest.raises(Unavailable, match=r"(?i)certificate|closed|reset|broken|eof"):
        entered(EtcdAddress((tls_server.url,), str(authority.cert)))


def test_an_etcd_of_another_authority_is_not_spoken_to(tls_server: EtcdServer, pair: Pair, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")

    with pytest.raises(Unavailable, match="certificate verify failed"):
        entered(EtcdAddress((tls_server.url,), str(other.cert), str(pair.cert), str(pair.key)))


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[EtcdServer]:
    """An etcd with logins; user `bridge`, password `secret`, may use the keys below `ours/`."""
    try:
        with closing(EtcdServer()) as server:
            server.control("user", "add", "root:rootpass")
            server.control("user", "grant-role", "root", "root")
            server.control("role", "add", "ours")
            server.control("role", "grant-permission", "ours", "readwrite", "--prefix=true", "ours/")
            server.control("user", "add", "bridge:secret")
            server.control("user", "grant-role", "bridge", "ours")
            server.control("auth", "enable")
            yield server
    except MissingServer as error:
        missing(error)


def test_with_a_login_one_writes_reads_and_watches_below_ones_prefix(guarded_server: EtcdServer) -> None:
    with closing(EtcdLink(EtcdAddress((guarded_server.url,), user="bridge", password="secret"))) as link:
        watch = link.watch(["ours/task_", "ours/worker_"])
        lease = link.grant(5)
        link.write([Put("ours/task_1", b"x", lease)], [], [])

        assert wait_until(lambda: watch.take(0.1), what="the change")[0].key == "ours/task_1"
        assert link.keep_alive(lease)
        with pytest.raises(Unavailable, match="permission denied"):
            link.write([Put("theirs", b"")], [], [])


def test_a_token_that_has_become_invalid_is_renewed(guarded_server: EtcdServer) -> None:
    with closing(EtcdLink(EtcdAddress((guarded_server.url,), user="bridge", password="secret"))) as link:
        link.read("ours/")
        guarded_server.control(*ROOT_LOGIN, "role", "add", f"changes-the-rights-{free_port()}")
        guarded_server.restart()

        assert link.write([Put("ours/a", b"")], [], []) is not None


@pytest.mark.parametrize("login", [("", ""), ("bridge", "wrong"), ("nobody", "secret")])
def test_without_the_right_login_one_is_kept_out(guarded_server: EtcdServer, login: tuple[str, str]) -> None:
    with pytest.raises(Exception, match=r"user name is empty|ETCD_USER and ETCD_PASSWORD are refused"):
        entered(EtcdAddress((guarded_server.url,), user=login[0], password=login[1]))


@pytest.fixture
def cluster() -> Iterator[list[EtcdServer]]:
    """Three members of one etcd."""
    try:
        with EtcdServer.cluster(3) as members:
            yield members
    except MissingServer as error:
        missing(error)


def test_a_cluster_that_loses_a_member_goes_on_at_the_next(cluster: list[EtcdServer]) -> None:
    with closing(EtcdLink(EtcdAddress(tuple(member.url for member in cluster)))) as link:
        watch = link.watch(["key"])
        link.write([Put("key1", b"before")], [], [])
        cluster[0].kill()

        wait_until(lambda: _has_ended(watch), what="the end of the watch")
        wait_until(lambda: _written(link), 20, what="the rest of the cluster")

        watch = link.watch(["key"])
        link.write([Put("key3", b"")], [], [])
        assert wait_until(lambda: watch.take(0.1), what="the change")[0].key == "key3"
        assert [record.key for record in link.read("key")] == ["key1", "key2", "key3"]


def _has_ended(watch: Watch) -> bool:
    try:
        watch.take(0.1)
    except Unavailable:
        return True
    return False


def _written(link: EtcdLink) -> bool:
    """Whether the cluster takes a write; it does not while it chooses a leader."""
    try:
        return link.write([Put("key2", b"after")], [], []) is not None
    except Unavailable:
        return False
