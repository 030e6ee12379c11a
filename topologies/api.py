"""The app's HTTP API."""

from ninja import Router

router = Router()
