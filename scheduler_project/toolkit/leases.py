"""Leadership by leases in the database, with fencing tokens.

Invariant: at any time at most one holder's token equals the stored one, and a taken-over lease's token has grown.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q


def acquire(name: str, holder: str, now: datetime, ttl_s: float) -> int | None:
    """Takes or renews the lease. Returns the fencing token, or None while another holder's lease runs."""
    from scheduler_project.models import Lease

    expires_at = now + timedelta(seconds=ttl_s)
    with transaction.atomic():
        Lease.objects.get_or_create(name=name, defaults={"holder": "", "expires_at": now, "token": 0})
        lease = Lease.objects.filter(name=name)
        renewed = lease.filter(holder=holder, expires_at__gt=now).update(expires_at=expires_at)
        if not renewed:
            free = Q(expires_at__lte=now) | Q(holder="") | Q(holder=holder)
            taken = lease.filter(free).update(holder=holder, expires_at=expires_at, token=F("token") + 1)
            if not taken:
                return None
        return int(lease.values_list("token", flat=True).get())


def renew(name: str, holder: str, now: datetime, ttl_s: float) -> bool:
    """Whether the lease was still the holder's, and runs on now; in one statement. Its fencing token stays."""
    from scheduler_project.models import Lease

    held = Lease.objects.filter(name=name, holder=holder, expires_at__gt=now)
    return bool(held.update(expires_at=now + timedelta(seconds=ttl_s)))


def is_held(name: str, now: datetime) -> bool:
    """Whether somebody's lease runs; in one statement that writes nothing. Who is next only `acquire` decides."""
    from scheduler_project.models import Lease

    return Lease.objects.filter(name=name, expires_at__gt=now).exclude(holder="").exists()


def release(name: str, holder: str, now: datetime) -> None:
    """Gives the lease up early, so that the next leader need not wait for its end."""
    from scheduler_project.models import Lease

    Lease.objects.filter(name=name, holder=holder).update(expires_at=now)


def claim_turn(name: str, now: datetime) -> bool:
    """Holds the name until the surrounding transaction ends, so that one of many processes does a thing at a time.

    Returns False where another transaction holds it. SQLite has one writing transaction at a time anyway.
    """
    from scheduler_project.models import Lease

    Lease.objects.get_or_create(name=name, defaults={"holder": "", "expires_at": now})
    skip_locked = connection.features.has_select_for_update_skip_locked
    return Lease.objects.select_for_update(skip_locked=skip_locked).filter(name=name).first() is not None
