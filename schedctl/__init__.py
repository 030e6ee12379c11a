"""The operator's command. It talks HTTP only and imports nothing of the server."""

__version__ = "0.1.0"
