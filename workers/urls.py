"""The app's pages."""

from django.urls import path

from workers import views

app_name = "workers"
urlpatterns = [
    path("hosts/<str:name>", views.host, name="host"),
    path("commands/", views.commands, name="commands"),
    path("commands/<str:command_id>", views.command, name="command"),
]
