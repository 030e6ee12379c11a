"""The web process's entry: `uvicorn scheduler_project.asgi:application`."""

import os
import warnings
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django_application: Any = get_asgi_application()

from scheduler_project.lifespan import with_lifespan  # noqa: E402  (needs Django's apps loaded)

# WhiteNoise answers with files, which are read piece by piece in a thread; small as they are, that holds nobody up.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
application = with_lifespan(django_application)
