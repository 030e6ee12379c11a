"""Forgets runs that have been over for longer than they and their graphs are kept, a bounded number in each step.

Invariant: a run in progress stays, and so does the newest of each topology, which tells how it fared last.
"""

import logging
from datetime import datetime

from django.conf import settings
from django.db.models import Exists, OuterRef

from scheduler_project.toolkit.retention import first_id_of, over_before
from topologies.core.states import RUN
from topologies.models import Run

log = logging.getLogger(__name__)

RUNS_PER_STEP = 500


def forget(now: datetime) -> None:
    """One step."""
    before = over_before(now, settings.SCHEDULER_KEEP_GRAPHS_DAYS)
    if before is None:
        return
    newer = Run.objects.filter(topology=OuterRef("topology"), id__gt=OuterRef("id"))
    old = Run.objects.filter(Exists(newer), state__in=RUN.final, id__lt=first_id_of(before))
    old = old.exclude(ended_at__gte=before)
    ids = list(old.order_by("id").values_list("id", flat=True)[:RUNS_PER_STEP])
    if ids:
        Run.objects.filter(id__in=ids, state__in=RUN.final).delete()
        log.info("runs.forgotten count=%d", len(ids))
