"""Hides secrets in documents that people look at.

Invariant: no value under a key that names a secret is in what comes out, however deep it stands.
"""

import re
from typing import Any

MASK = "••••••"
SECRET_KEY = re.compile(r"password|passwd|secret|token|(access|api|private)[_-]?key|credential|authorization", re.I)


def masked(document: Any) -> Any:
    """The same document with every value under a secret's key replaced; empty values are left as they are."""
    if isinstance(document, dict):
        return {
            key: MASK if value and SECRET_KEY.search(str(key)) else masked(value) for key, value in document.items()
        }
    if isinstance(document, list):
        return [masked(value) for value in document]
    return document
