"""The app's pages."""

from django.urls import path

from topologies import views

app_name = "topologies"
urlpatterns = [
    path("topologies/", views.topologies, name="topologies"),
    path("topologies/<path:name>", views.topology, name="topology"),
    path("runs/<str:run_id>", views.run, name="run"),
]
