"""All in one: starts and supervises every process of the system on one machine (`manage.py up`)."""
