"""File names for units."""

import re
from hashlib import sha256

NAME_LENGTH_MAX = 120
DIGEST_LENGTH = 16


def safe_name(text: str) -> str:
    """A file name for any text, different for different texts."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")
    if name == text and len(name) <= NAME_LENGTH_MAX:
        return name
    digest = sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - DIGEST_LENGTH - 1]}-{digest}"
