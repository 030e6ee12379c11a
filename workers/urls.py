"""The app's pages."""

from django.urls import path

from workers import views

app_name = "workers"
urlpatterns = [
    path("hosts/", views.hosts, name="hosts"),
    path("hosts/<str:name>", views.host, name="host"),
    path("commands/", views.commands, name="commands"),
    path("commands/<str:command_id>", views.command, name="command"),
    path("commands/<str:command_id>/<str:stream>", views.download, name="download"),
]
