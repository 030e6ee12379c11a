"""The roof: settings, the Celery app, URLs, pages and the toolkit that all apps share."""
