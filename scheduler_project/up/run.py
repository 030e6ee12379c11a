"""Puts the parts of `up` together: checks, servers, processes, demo, watching, stop."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from scheduler_project.toolkit.env import LOCAL_FILE_NAME
from scheduler_project.toolkit.files import write_private
from scheduler_project.up import demo, layout, ports, prepare, servers
from scheduler_project.up.checks import check_surroundings
from scheduler_project.up.layout import Options, Ports
from scheduler_project.up.lock import lock_folder
from scheduler_project.up.manager import ProcessManager
from scheduler_project.up.processes import ProcessSpec
from scheduler_project.up.report import Report
from scheduler_project.up.secrets import Secrets, load_or_create
from scheduler_project.up.stages import Commands, Progress, Stage
from scheduler_project.up.status import StatusFile

BROKER_PORT, NATS_PORT, FLOWER_PORT = 6380, 4222, 5555
UNITS_STOP_WITHIN_S = 15.0
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


def run(options: Options, report: Report, environ: Mapping[str, str]) -> None:
    """Runs everything until told to stop. Every failure to start is a CannotStart, and leaves nothing behind."""
    data_dir = Path(settings.DATA_DIR)
    with lock_folder(data_dir):
        check_surroundings(options, environ)
        up = Up(options, report, environ, data_dir)
        try:
            up.start()
            up.watch()
        finally:
            up.stop()


def choose_ports(web_port: int) -> Ports:
    """The usual ports of the embedded servers where they are free, else any others."""
    taken = {web_port}
    chosen = []
    for preferred in (BROKER_PORT, NATS_PORT, FLOWER_PORT):
        chosen.append(ports.choose(preferred, taken))
        taken.add(chosen[-1])
    return Ports(web_port, *chosen)


class Up:
    """One run of the whole system, from a locked data folder."""

    def __init__(self, options: Options, report: Report, environ: Mapping[str, str], data_dir: Path) -> None:
        self.began_at = time.monotonic()
        self.options = options
        self.report = report
        self.environ = environ
        self.data_dir = data_dir
        self.secrets: Secrets = load_or_create(data_dir)
        self.ports = choose_ports(options.web_port)
        self.shared = layout.shared_environment(
            environ,
            self.ports,
            self.secrets.broker_password,
            settings.DATABASE_URL,
            self.secrets.secret_key,
            data_dir,
        )
        logs = data_dir / "logs"
        logs.mkdir(exist_ok=True)
        self.manager = ProcessManager(logs, report.change)
        self.status = StatusFile(data_dir)
        self.demo_commands = Commands((), {**os.environ, **self.shared}, str(settings.BASE_DIR))
        self.progress = Progress(self._stages(), report.change)

    @property
    def server_url(self) -> str:
        address = ports.LOOPBACK if self.options.address in ANY_ADDRESS else self.options.address
        return f"http://{address}:{self.ports.web}"

    @property
    def flower_url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.ports.flower}"

    def start(self) -> None:
        """Starts the servers, prepares the database and starts our own processes."""
        self.manager.listen()
        self._write_addresses({})
        self.manager.add(self._server_specs())
        prepare.migrate()
        join_tokens = prepare.make_join_tokens(self.options.hosts, self.shared["SECRET_KEY"])
        self._write_addresses({"SCHEDULER_JOIN_TOKEN": join_tokens[prepare.ANY_HOST]})
        login = prepare.ensure_login(self.environ.get("ADMIN_PASSWORD"), self.environ.get("GUEST_PASSWORD"))
        prepare.ensure_token_file(self.data_dir, self.server_url)
        self.report.addresses(self._addresses(login))
        self.manager.add(self._application_specs(join_tokens))

    def _write_addresses(self, further: Mapping[str, str]) -> None:
        """Where workers started by hand in this folder find the broker and the rest, and how they join."""
        lines = [f"{name}={value}" for name, value in {**self.shared, **further}.items()]
        write_private(self.data_dir / LOCAL_FILE_NAME, "\n".join(lines) + "\n")

    def _server_specs(self) -> list[ProcessSpec]:
        password = self.secrets.broker_password
        valkey = servers.write_valkey_config(self.data_dir / "valkey", self.ports.broker, password)
        nats = servers.write_nats_config(self.data_dir / "nats", self.ports.nats, password)
        return layout.server_specs(
            self.environ,
            self.ports,
            (servers.valkey_binary(), str(valkey)),
            (servers.nats_binary(), "-c", str(nats)),
        )

    def _application_specs(self, join_tokens: Mapping[str, str]) -> list[ProcessSpec]:
        shared = {**self.shared, "SCHEDULER_UP_STATUS": str(self.status.path)}
        flower_login = f"{prepare.ADMIN_NAME}:{self.secrets.flower_password}"
        return layout.application_specs(self.options, self.ports, shared, flower_login, join_tokens)

    def _addresses(self, login: prepare.Login) -> list[tuple[str, str]]:
        if login.password:
            shown = f"{login.user} / {login.password}   (shown only now)"
        else:
            shown = f"{login.user} / the password you know (ADMIN_PASSWORD=… sets a new one)"
        return [
            ("home", f"{self.server_url}/"),
            ("admin", f"{self.server_url}/admin/"),
            ("API", f"{self.server_url}/api/v1/"),
            ("login", shown),
            ("Flower", f"{self.flower_url}   (login in {self.data_dir}/secrets.json)"),
            ("schedctl", f"uses {self.data_dir}/{prepare.SCHEDCTL_FILE_NAME}"),
            ("broker, NATS", f"addresses in {self.data_dir}/{LOCAL_FILE_NAME}"),
            ("logs", f"{self.data_dir}/logs/"),
        ]

    def watch(self) -> None:
        """Keeps everything running until a signal asks for the end."""
        ready_told = False
        while not self.manager.stopping:
            self.manager.step()
            self.progress.step()
            is_ready = self.progress.is_over and self.manager.all_up()
            self.status.write(self.manager.processes.values(), is_ready, self.progress)
            if is_ready and not ready_told:
                ready_told = True
                self.report.ready(time.monotonic() - self.began_at)

    def _stages(self) -> list[Stage]:
        hosts = self.options.hosts
        stages = [
            Stage("processes", nothing, self._processes_missing),
            Stage("hosts", nothing, lambda: ", ".join(demo.hosts_missing(hosts))),
        ]
        if self.options.demo:
            stages += [
                Stage("demo applied", self._begin_demo, self._demo_missing),
                Stage("services", nothing, demo.services_missing),
                Stage("graph", nothing, demo.graph_missing),
            ]
        return stages

    def _processes_missing(self) -> str:
        return ", ".join(name for name, process in self.manager.processes.items() if not process.is_up())

    def _begin_demo(self) -> None:
        schedctl_file = str(self.data_dir / prepare.SCHEDCTL_FILE_NAME)
        self.demo_commands.env = {**self.demo_commands.env, "SCHEDCTL_CONFIG": schedctl_file}
        if not demo.is_applied(self.data_dir):
            self.demo_commands.remaining = list(demo.STEPS)

    def _demo_missing(self) -> str:
        missing = self.demo_commands.waiting_for()
        if not missing:
            demo.mark_applied(self.data_dir)
        return missing

    def stop(self) -> None:
        """Stops everything in order; when it returns, no process, port or address file of ours is left."""
        self.demo_commands.stop()
        connection.close()
        self.manager.stop(self._before_wave)
        (self.data_dir / LOCAL_FILE_NAME).unlink(missing_ok=True)
        self.status.remove()

    def _before_wave(self, wave: int) -> None:
        if wave == layout.WAVE_CONTROL:
            stop_units(self.data_dir / "agents")


def nothing() -> None:
    """How a stage begins that only waits."""


def stop_units(agents: Path) -> None:
    """Ends what agents left running on this machine: each host's supervisor stops its units, then itself."""
    found = []
    for pid_file in agents.glob("*/supervisor.pid"):
        try:
            process = psutil.Process(int(pid_file.read_text().split()[0]))
            if "workers.agent.supervisor" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGTERM)
                found.append(process)
        except (psutil.Error, ValueError, IndexError, OSError):
            continue
    _, alive = psutil.wait_procs(found, timeout=UNITS_STOP_WITHIN_S)
    for process in alive:
        process.kill()
