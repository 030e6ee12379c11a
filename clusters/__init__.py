"""Keeps services running on hosts: desired state is placed as issued tasks, and agents make it actual."""
