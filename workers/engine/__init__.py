"""Containers by the Docker Engine's API. Only the standard library is used: each container has a process of this."""
