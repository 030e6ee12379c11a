"""The app's pages."""

from django.urls import path

from graphs import views

app_name = "graphs"
urlpatterns = [
    path("graphs/", views.graphs, name="graphs"),
    path("graphs/<path:graph_id>/drawing.json", views.graph_drawing, name="drawing"),
    path("graphs/<path:graph_id>/component", views.component, name="component"),
    path("graphs/<path:graph_id>", views.graph, name="graph"),
]
