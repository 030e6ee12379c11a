"""Takes up foreign records as commands.

Invariant: the key of a record is the idempotency key of its command, so whoever takes it up again finds the first one.
"""

import logging
from datetime import datetime

from django.db import DatabaseError, InterfaceError, OperationalError

from scheduler_project.toolkit.errors import Fault, InvalidDocument, SchedulerError
from workers import store
from workers.bridge import records
from workers.core.commands import NewCommand
from workers.core.legacy import Names, Wish, owner_of, refused, wish_in
from workers.links.etcd import Record

log = logging.getLogger(__name__)


def answer_to(record: Record, names: Names, now: datetime) -> bytes | None:
    """What is to be written in the record's place; None where it asks for nothing.

    When this returns, the command is in the database. Raises OperationalError or InterfaceError where that is away.
    """
    try:
        wish = wish_in(record.key.removeprefix(names.tasks), record.value)
        if wish is None:
            return None
        command = _command(record.key, wish)
        (accepted,) = store.submit([command], now)
    except (OperationalError, InterfaceError):
        raise
    except (SchedulerError, DatabaseError) as error:
        log.warning("etcd.record_not_taken key=%r reason=%s", record.key, error)
        return refused(record.value, str(error))
    log.info("etcd.record_taken key=%s command=%s", record.key, accepted.id)
    (found,) = records.of_commands([accepted.id], names, now)
    return found.value


def _command(key: str, wish: Wish) -> NewCommand:
    owner = owner_of(key)
    return NewCommand(argv=wish.argv, on=_place(wish), owner=owner, idempotency_key=owner)


def _place(wish: Wish) -> str:
    if not wish.worker_id:
        return ""
    name = records.name_of_worker(wish.worker_id)
    if name is None:
        raise InvalidDocument([Fault("workerId", f"there is no worker with the id {wish.worker_id}")])
    return name
