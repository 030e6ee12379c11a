"""All addresses of the web process."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from scheduler_project import views
from scheduler_project.api import api

urlpatterns = [
    path("", views.home, name="home"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("", include("graphs.urls")),
    path("", include("topologies.urls")),
    path("", include("workers.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
]
