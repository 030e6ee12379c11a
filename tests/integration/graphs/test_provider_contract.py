"""The contract of providers, held against every one that we bring and one that is defined here, as others would."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest

from graphs import providers
from graphs.providers.base import Provider, Send
from graphs.testing import ProviderContract
from scheduler_project.toolkit.errors import ConfigurationError, Fault

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "tests.integration.graphs.test_provider_contract"


class NotebookProvider(Provider):
    """Somebody else's provider: writes components down."""

    supports_transaction = True
    written: list[str] = []

    def __init__(self, alias: str, pages: int) -> None:
        super().__init__(alias)
        self.pages = pages

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        fits = isinstance(document.get("page"), int) and document["page"] <= self.pages
        return [] if fits else [Fault(f"{path}.page", f"must be a number up to {self.pages}")]

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        self.written += [send.component_id for send in sends]
        return {send.pk: f"{send.graph_id}/{send.attempt}" for send in sends}


@pytest.fixture(autouse=True)
def configured(settings: Any) -> Iterator[None]:
    """All aliases are usable."""
    settings.GRAPH_PROVIDERS = {
        **settings.GRAPH_PROVIDERS,
        "notebook": {"BACKEND": f"{HERE}.NotebookProvider", "OPTIONS": {"pages": 7}},
        "http": {"BACKEND": "graphs.providers.http.HttpProvider", "OPTIONS": {"hosts": ["api.example.com"]}},
        "celery": {"BACKEND": "graphs.providers.celery.CeleryProvider", "OPTIONS": {"tasks": ["shop.*"]}},
    }
    providers.provider.cache_clear()
    yield
    providers.provider.cache_clear()


class TestNats(ProviderContract):
    alias = "nats"
    good = {"_provider": "demo", "name": "a"}


class TestCommand(ProviderContract):
    alias = "command"
    good = {"argv": ["true"]}
    bad = {"argv": "true"}


class TestDocker(ProviderContract):
    alias = "docker"
    good = {"image": "alpine:3.20"}
    bad = {"image": ["alpine"]}


class TestHttp(ProviderContract):
    alias = "http"
    good = {"url": "https://api.example.com/"}
    bad = {"url": "https://other.example.com/"}


class TestCelery(ProviderContract):
    alias = "celery"
    good = {"task": "shop.pack"}
    bad = {"task": "graphs.sweep"}


class TestNotebook(ProviderContract):
    alias = "notebook"
    good = {"page": 3}
    bad = {"page": 8}


def test_a_provider_of_somebody_else_is_known_by_its_dotted_path() -> None:
    assert providers.alias_of("notebook") == "notebook"
    assert isinstance(providers.provider("notebook"), Provider)


def test_a_provider_with_wrong_options_is_named(settings: Any) -> None:
    settings.GRAPH_PROVIDERS = {"notebook": {"BACKEND": f"{HERE}.NotebookProvider"}}
    providers.provider.cache_clear()
    with pytest.raises(ConfigurationError, match="pages"):
        providers.provider("notebook")
