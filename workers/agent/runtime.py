"""The agent itself: one thread with an event loop that carries out orders and wakes only when something happens.

Invariants: a message is taken once, and its orders are in the journal before `receive` returns; one agent works on a
state folder at a time. An error that nobody foresaw ends the agent (`on_fatal`), as what it knows is in the journal and
its processes live on.
"""

import asyncio
import fcntl
import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import IO, Any

from scheduler_project.toolkit.errors import ConfigurationError
from workers.agent import containers, facts
from workers.agent.commands import Commands
from workers.agent.config import AgentConfig
from workers.agent.core.holding import Holding, NameLost
from workers.agent.core.orders import DRAINING, STOPPED_BEFORE
from workers.agent.core.told import Told
from workers.agent.folders import UNITS
from workers.agent.gate import Gate
from workers.agent.journal import Entry, Journal
from workers.agent.keeper import KIND as KEPT
from workers.agent.keeper import Keeper
from workers.agent.link import SupervisorLink
from workers.agent.reporter import Publish, Reporter
from workers.agent.trust import Trust
from workers.core.envelope import Misaddressed, Refusal, Replayed, Sealed, Unreadable
from workers.executors import available
from workers.protocol import (
    Admitted,
    Applied,
    Enrolled,
    Heartbeat,
    KeepTask,
    Order,
    Orders,
    QueryUnits,
    Refused,
    Rejected,
    RunCommand,
    SetDraining,
    StopUnit,
    Superseded,
    Unknown,
    UnreadableEnvelope,
    decode_orders,
    encode,
    kind_of,
)

log = logging.getLogger(__name__)

DRAINING_KEY, WORKER_KEY, JOURNAL_KEY = "draining", "worker_id", "journal"
RECEIVE_WITHIN_S = 30.0
START_WITHIN_S = 30.0
PRUNE_INTERVAL_S = 600.0
NONCES_KEPT_LONGER_S = 600.0


class AgentRuntime:
    """`publish` is the way to control; `on_fatal` is called from a thread of the agent when it cannot go on."""

    def __init__(self, config: AgentConfig, publish: Publish, on_fatal: Callable[[], None]) -> None:
        self._config = config
        self._on_fatal = on_fatal
        self._lock = lock_state_dir(config)
        self._journal = Journal(config.state_dir / "journal.sqlite3")
        self._worker_id = self._identify()
        self._draining = self._journal.remembered(DRAINING_KEY, "")
        self._journal_id = self._journal.remembered(JOURNAL_KEY, uuid.uuid4().hex)
        self._trust = Trust(config, self._worker_id, self._journal)
        self._session = uuid.uuid4().hex
        self._started_at = time.time()
        self._holding = Holding(self._session)
        self._superseded = False
        self._executors = self._find_executors()
        self._link = SupervisorLink(config.state_dir, self._journal.transaction)
        self._commands = Commands(config, self._journal, self._link, self._journal_id)
        self._keeper = Keeper(config, self._journal, self._link)
        self._reporter = Reporter(
            self._journal,
            publish,
            self._heartbeat,
            self._trust,
            config.host,
            self._session,
            config.heartbeat_interval_s,
            on_fatal,
        )
        self._journal.on_spooled = self._reporter.wake
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)

    @property
    def unreported(self) -> int:
        """The number of the newest report that control has not confirmed; 0 when it has confirmed all."""
        return self._journal.newest_seq()

    @property
    def spooled_bytes(self) -> int:
        """How much waits to be reported."""
        return self._journal.spool_bytes()

    def start(self) -> None:
        """Returns once what the journal knows is taken up."""
        self._thread.start()
        self._ready.wait(START_WITHIN_S)
        self._reporter.start()

    def stop(self) -> None:
        """Lets go of everything; the supervisor and its processes go on."""
        if self._main is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
            self._thread.join()
        self._reporter.stop()
        self._journal.close()
        self._lock.close()

    def receive(self, text: str) -> None:
        """Returns once orders are in the journal, or refused. Raises TimeoutError when that takes too long.

        Raises NameLost when they are for a newer agent of this name.
        """
        self.deliver(text).result(RECEIVE_WITHIN_S)

    def deliver(self, text: str) -> "Future[None]":
        """Hands a message over and tells when its orders are in the journal; a message that is refused is counted."""
        done: Future[None] = Future()
        try:
            sealed = self._trust.open(text)
            orders = self._orders_of(sealed)
        except Misaddressed as refusal:
            self._loop.call_soon_threadsafe(self._misdelivered, text, refusal, done)
        except Refusal as refusal:
            self._trust.count(refusal)
            done.set_result(None)
        else:
            self._loop.call_soon_threadsafe(self._receive, sealed, orders, done)
        return done

    def refuse(self, why: str) -> None:
        """Counts a message that Celery could not read."""
        self._trust.count(Unreadable(why))

    def _misdelivered(self, text: str, refusal: Misaddressed, done: "Future[None]") -> None:
        """Control's word for another worker: when that one is the newer of this name, this one gives way."""
        try:
            self._holding.check(self._orders_of(self._trust.overhear(text)))
        except NameLost as lost:
            done.set_exception(lost)
            self._give_way(lost)
            return
        except Refusal as further:
            log.debug("orders.not_overheard host=%s %s", self._config.host, further)
        self._trust.count(refusal)
        done.set_result(None)

    def _orders_of(self, sealed: Sealed) -> Orders:
        try:
            orders = decode_orders(sealed.body)
        except UnreadableEnvelope as error:
            raise Unreadable(str(error)) from error
        if orders.host != self._config.host:
            raise Misaddressed(f"its orders are for {orders.host}")
        return orders

    def _receive(self, sealed: Sealed, orders: Orders, done: "Future[None]") -> None:
        try:
            self._holding.check(orders)
            with self._journal.transaction():
                self._spend(sealed)
                for order in orders.orders:
                    self._carry_out(order, time.time())
        except NameLost as lost:
            done.set_exception(lost)
            self._give_way(lost)
        except Refusal as refusal:
            self._trust.count(refusal)
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)
            raise
        else:
            done.set_result(None)

    def _give_way(self, lost: NameLost) -> None:
        """Says why, once, and ends; what runs here goes on under its supervisor."""
        if not self._superseded:
            self._superseded = True
            log.critical("agent.superseded host=%s %s; it takes nothing more and ends", self._config.host, lost)
            self._on_fatal()

    def _spend(self, sealed: Sealed) -> None:
        if not self._journal.spend(sealed.claims.nonce, sealed.claims.expires_at):
            raise Replayed(f"{sealed.claims.nonce} was taken before")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._fail)
        self._main = self._loop.create_task(self._work())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            log.info("agent.stopped host=%s", self._config.host)
        except Exception:
            log.exception("agent.failed host=%s", self._config.host)
            self._on_fatal()
        finally:
            self._ready.set()
            cancel_all(self._loop)
            self._loop.close()

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """An error in a callback: what is in memory may not be what is in the journal any more."""
        error = context.get("exception")
        log.error("agent.failed host=%s %s", self._config.host, context["message"], exc_info=error)  # type: ignore[arg-type]
        self._on_fatal()

    async def _work(self) -> None:
        log.info(
            "agent.started host=%s session=%s state_dir=%s", self._config.host, self._session, self._config.state_dir
        )
        with self._journal.transaction():
            self._commands.resume()
            self._keeper.resume()
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._prune())
            group.create_task(self._look_around())

    async def _look_around(self) -> None:
        """Which executors are there now, since an engine may come and go; and what runners could not remove from it."""
        while True:
            await asyncio.to_thread(containers.remove_all_left, self._journal_id)
            await asyncio.sleep(containers.LOOK_EVERY_S)
            self._executors = await asyncio.to_thread(self._find_executors)

    def _find_executors(self) -> list[str]:
        return Gate(self._config.policy, self._config.base_env, self._config.cwd).executors(available())

    async def _prune(self) -> None:
        """Forgets ended units when no copy of their order can be under way any more, and control knows of their end:
        one that it does not know of it may order again.
        """
        told = Told()
        while True:
            now = time.time()
            told = told.seen(self._journal.oldest_seq(), self._journal.newest_seq(), now)
            old = self._journal.over_before(min(now - self._config.keep_ended_s, told.until))
            self._journal.delete(old)
            self._link.remove_ended(self._config.keep_ended_s)
            self._journal.forget_nonces(time.time() - NONCES_KEPT_LONGER_S)
            await asyncio.sleep(0 if old else PRUNE_INTERVAL_S)

    def _carry_out(self, order: Order, now: float) -> None:
        match order:
            case RunCommand() | KeepTask():
                self._take(order, now)
            case StopUnit():
                self._stop(order, now)
            case QueryUnits():
                for unit, attempt in order.units:
                    self._tell(unit, attempt, now)
            case Applied():
                self._journal.after_commit(lambda: self._reporter.applied(order.session, order.seq))
            case SetDraining():
                self._draining = DRAINING if order.draining else ""
                self._journal.remember(DRAINING_KEY, self._draining)
            case Admitted() | Superseded():
                log.debug("order.heard host=%s %s", self._config.host, order)
            case Enrolled():
                if self._trust.accept(order.request):
                    self._journal.after_commit(self._reporter.greet)
            case Rejected():
                self._rejected(order)

    def _rejected(self, order: Rejected) -> None:
        if self._trust.reject(order.reason, order.request):
            self._on_fatal()
        else:
            self._journal.after_commit(self._reporter.greet)

    def _take(self, order: RunCommand | KeepTask, now: float) -> None:
        known = self._journal.latest(order.unit)
        if known is not None and known.attempt > order.attempt:
            log.info("order.outdated unit=%s attempt=%d known=%d", order.unit, order.attempt, known.attempt)
        elif known is not None and known.attempt == order.attempt:
            self._tell_again(known)
        elif isinstance(order, RunCommand):
            self._take_command(order, now)
        else:
            self._keeper.take(order, now, self._draining)

    def _take_command(self, order: RunCommand, now: float) -> None:
        """One that was meant for an earlier journal may have run under it."""
        if order.journal in ("", self._journal_id):
            self._commands.take(order, now, self._draining)
        else:
            log.warning("order.of_lost_journal unit=%s attempt=%d", order.unit, order.attempt)

    def _stop(self, order: StopUnit, now: float) -> None:
        known = self._journal.find(order.unit, order.attempt)
        if known is None:
            self._bury(order, now)
        elif known.is_over:
            self._tell_again(known)
        elif known.kind == KEPT:
            self._keeper.stop(order)
        else:
            self._commands.stop(order)

    def _bury(self, order: StopUnit, now: float) -> None:
        """An order for it that is still under way must find it stopped."""
        refused = Refused(unit=order.unit, attempt=order.attempt, at=now, reason=STOPPED_BEFORE)
        self._journal.bury(order, order.unit, order.attempt, kind_of(order.unit), refused, now)
        self._journal.spool([Unknown(unit=order.unit, attempt=order.attempt, at=now)])

    def _tell(self, unit: str, attempt: int, now: float) -> None:
        known = self._journal.find(unit, attempt)
        if known is None:
            self._journal.spool([Unknown(unit=unit, attempt=attempt, at=now)])
        else:
            self._tell_again(known)

    def _tell_again(self, known: Entry) -> None:
        self._journal.spool_encoded([known.report])

    def _identify(self) -> str:
        if self._config.worker_id:
            self._journal.remember(WORKER_KEY, self._config.worker_id)
        return self._journal.remembered(WORKER_KEY, str(uuid.uuid4()))

    def _facts(self) -> dict[str, Any]:
        """Those of the host, and how full the spool is."""
        config = self._config
        spool = {
            "spool_mb": self._journal.spool_bytes() // facts.MIB,
            "spool_max_mb": config.spool_max_bytes // facts.MIB,
            "outputs_cut": self._commands.outputs_cut,
        }
        return facts.facts(config.state_dir, self._executors, config.ports) | spool

    def _heartbeat(self, stopping: bool) -> str:
        config = self._config
        return encode(
            Heartbeat(
                host=config.host,
                worker_id=self._worker_id,
                session=self._session,
                started_at=self._started_at,
                sent_at=time.time(),
                version=facts.version(),
                address=config.address,
                labels=dict(config.labels),
                facts=self._facts(),
                slots=config.slots,
                running=self._commands.running + self._keeper.running,
                stopping=stopping,
                refused=self._trust.refused(),
                journal=self._journal_id,
            )
        )


def lock_state_dir(config: AgentConfig) -> IO[str]:
    """Makes the state folder and takes it. Raises ConfigurationError when it cannot be used or another agent has it."""
    try:
        (config.state_dir / UNITS).mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (config.state_dir / "agent.lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"the agent's folder {config.state_dir} cannot be used: {error.strerror}; set SCHEDULER_AGENT_DIR"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigurationError(
            f"another agent already works with {config.state_dir}; stop it, or use another host queue"
        ) from error
    return lock


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what still waits in a loop that is about to be closed."""
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
