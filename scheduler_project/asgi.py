"""The web process's entry: `uvicorn scheduler_project.asgi:application`."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django_application: Any = get_asgi_application()

from scheduler_project.lifespan import with_lifespan  # noqa: E402  (needs Django's apps loaded)

application = with_lifespan(django_application)
