"""One exchange with PostgreSQL for any number of statements: sent in one piece, and only the last answer is waited for.

psycopg's own pipelines turn to the server after each statement, which costs more than most statements do; here libpq
gathers them first. A text is planned once for a connection, since planning would cost more than the work. Invariant:
when an exchange is over, by a fault too, nothing of it is under way and the connection can be used for anything else.
"""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any

from psycopg import Connection, errors, generators, pq
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.types.datetime import TimestamptzLoader

PLANS_MAX = 300
KEPT_AS = "_scheduler_exchange"
FAULTS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
Asked = Sequence[tuple[str, Sequence[Any]]]
Answer = tuple[int, list[tuple[Any, ...]]]


def exchange(connection: Connection[Any], statements: Asked, keep_plans: bool) -> list[Answer]:
    """Runs statements, each a text with its values, in order. Returns how many rows each wrote or found, and the rows.

    They belong to the connection's transaction, which they begin where it is not in autocommit. After one that fails
    none is run. Raises psycopg's error of that one. Without `keep_plans` nothing stays with the connection.
    """
    talk = _Talk(connection, keep_plans)
    with connection.lock:
        connection.pgconn.enter_pipeline_mode()
        try:
            return connection.wait(talk.about(statements))
        finally:
            if connection.pgconn.status != pq.ConnStatus.BAD:
                connection.pgconn.exit_pipeline_mode()


class _Known:
    """What is kept of a connection: how its values travel, and the texts that the server has planned, with their names.

    Times are read by psycopg's own loader, in the time zone of the session, which Django sets.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)
        self.adapting = Transformer(self)
        self._names: OrderedDict[str, bytes] = OrderedDict()
        self._made = 0

    def name_of(self, sql: str) -> bytes | None:
        if sql in self._names:
            self._names.move_to_end(sql)
        return self._names.get(sql)

    def new_name(self) -> bytes:
        self._made += 1
        return b"exchange_%d" % self._made

    def keep(self, sql: str, name: bytes) -> None:
        self._names[sql] = name

    def forgotten(self) -> list[bytes]:
        """Names that the server need not keep any more: those not used for the longest time, where there are many."""
        return [self._names.popitem(last=False)[1] for _ in range(len(self._names) - PLANS_MAX)]


def _known_of(connection: Connection[Any]) -> _Known:
    """Kept with the connection, so that it goes with it."""
    kept = vars(connection)
    if KEPT_AS not in kept:
        kept[KEPT_AS] = _Known(connection)
    known: _Known = kept[KEPT_AS]
    return known


class _Talk:
    """What is said to the server in one exchange, and what it answers."""

    def __init__(self, connection: Connection[Any], keep_plans: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._keep_plans = keep_plans
        self._known = _known_of(connection)
        self._adapting = self._known.adapting
        self._new: dict[str, bytes] = {}

    def about(self, statements: Asked) -> Generator[Any, Any, list[Answer]]:
        """Yields whenever the socket must be waited for, as psycopg's own generators do."""
        before = self._say_what_comes_first()
        planned = [self._say(sql, values) for sql, values in statements]
        self._pgconn.pipeline_sync()
        yield from generators.send(self._pgconn)
        failed: pq.abc.PGresult | None = None
        answers: list[Answer] = []
        for sql in [*[""] * before, *(part for new in planned for part in (*new, None))]:
            (result,) = yield from generators.fetch_many(self._pgconn)
            if result.status in FAULTS:
                failed = failed or result
            elif sql is None:
                answers.append(self._answer(result))
            elif sql:
                self._known.keep(sql, self._new[sql])
        yield from generators.fetch_many(self._pgconn)
        if failed is not None:
            raise errors.error_from_result(failed, encoding=self._connection.info.encoding)
        return answers

    def _say_what_comes_first(self) -> int:
        """Begins a transaction where none is open, and drops plans. Returns how many answers there will be."""
        first = [b"DEALLOCATE " + name for name in self._known.forgotten()]
        if not self._connection.autocommit and self._pgconn.transaction_status == pq.TransactionStatus.IDLE:
            first.append(self._connection._get_tx_start_command())
        for command in first:
            self._pgconn.send_query_params(command, None)
        return len(first)

    def _say(self, sql: str, values: Sequence[Any]) -> tuple[str, ...]:
        """Sends one statement. Returns its text where it has to be planned first, which has an answer of its own."""
        given = [self._dumped(value) for value in values]
        if not self._keep_plans:
            self._pgconn.send_query_params(numbered(sql), given)
            return ()
        name = self._known.name_of(sql) or self._new.get(sql)
        if name is not None:
            self._pgconn.send_query_prepared(name, given)
            return ()
        name = self._new[sql] = self._known.new_name()
        self._pgconn.send_prepare(name, numbered(sql))
        self._pgconn.send_query_prepared(name, given)
        return (sql,)

    def _dumped(self, value: Any) -> Any:
        """As text, whose type the server knows from where it stands; the usual ones in short."""
        kind = type(value)
        if kind is str:
            return value.encode()
        if value is None:
            return None
        if kind is int:
            return b"%d" % value
        return self._adapting.get_dumper(value, PyFormat.TEXT).dump(value)

    def _answer(self, result: pq.abc.PGresult) -> Answer:
        if result.status != pq.ExecStatus.TUPLES_OK:
            return result.command_tuples or 0, []
        self._adapting.set_pgresult(result)
        return result.ntuples, self._adapting.load_rows(0, result.ntuples, tuple)


@lru_cache(maxsize=1024)
def numbered(sql: str) -> bytes:
    """The text with PostgreSQL's places $1, $2 … for `%s`; `%%` is a percent sign."""
    parts = sql.replace("%%", "\x00").split("%s")
    text = parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], 1))
    return text.replace("\x00", "%").encode()
