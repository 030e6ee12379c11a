"""Django's entry to the app."""

from django.apps import AppConfig


class TopologiesConfig(AppConfig):
    name = "topologies"
    verbose_name = "Topologies"
