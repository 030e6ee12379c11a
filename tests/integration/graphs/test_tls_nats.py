"""NATS behind TLS: the bridge's link gets in with a certificate of the server's authority, and no other way."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from graphs.bridge import server
from scheduler_project.toolkit.errors import ConfigurationError, Unavailable
from tests.conftest import running
from tests.support.certificates import Authority, Pair
from tests.support.servers import TlsNatsServer


@pytest.fixture
def nats(authority: Authority) -> Iterator[TlsNatsServer]:
    yield from running(lambda: TlsNatsServer(authority))


def enters(settings: Any, nats: TlsNatsServer, cacert: Path | str, pair: Pair | None, patience_s: float = 1.5) -> bool:
    """Whether NATS answers us, and we believe it."""
    settings.NATS_URI, settings.NATS_CACERT = nats.url, str(cacert)
    settings.NATS_CERT, settings.NATS_KEY = (str(pair.cert), str(pair.key)) if pair else ("", "")
    link = server.link(["tls.>"], "g", "test")
    link.start()
    try:
        with suppress(Unavailable):
            link.wait_connected(patience_s)
        return link.connected
    finally:
        link.stop()


def test_nats_is_entered_with_a_certificate_of_its_authority_alone(
    settings: Any, nats: TlsNatsServer, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")

    assert enters(settings, nats, authority.cert, authority.issue("good-nats"), patience_s=15)
    assert not enters(settings, nats, authority.cert, None)
    assert not enters(settings, nats, authority.cert, other.issue("foreign-nats"))
    assert not enters(settings, nats, authority.cert, authority.issue("old-nats", timedelta(hours=-1)))
    assert not enters(settings, nats, other.cert, authority.issue("deceived-nats"))
    assert not enters(settings, nats, "", authority.issue("by-system-nats"))


def test_certificates_that_cannot_be_used_end_the_start_with_the_reason(settings: Any, authority: Authority) -> None:
    settings.NATS_CACERT, settings.NATS_CERT, settings.NATS_KEY = "/no/such/file", "", ""
    with pytest.raises(ConfigurationError, match="NATS_CACERT"):
        server.certificates()

    settings.NATS_CACERT, settings.NATS_CERT = "", str(authority.cert)
    with pytest.raises(ConfigurationError, match="belong together"):
        server.certificates()
