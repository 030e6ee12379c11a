"""What an operator is told when something goes wrong: once, on stderr, with an exit code."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from schedctl.client import Client
from tests.support.scheduler_twin import Reply, Twin, answer, problem

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(400, 1), (422, 1), (500, 1), (503, 1), (404, 3), (401, 4), (403, 4), (409, 5), (504, 124)],
)
def test_a_refusal_is_told_in_the_servers_words(twin: Twin, schedctl: Run, status: int, exit_code: int) -> None:
    twin.on("GET /hosts/a", problem(status, "the worker is away"))
    result = schedctl("workers", "get", "a")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("schedctl: the worker is away")
    assert result.stderr.count("\n") == 1


def test_without_a_token_it_is_said_where_to_put_one(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /whoami", problem(401, "log in"))
    assert "SCHEDCTL_TOKEN" in schedctl("whoami").stderr


def test_faults_of_a_document_come_one_per_line_with_their_paths(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs", problem(422, "a; b", [("changes[0]._type", "is missing"), ("", "has a cycle")]))
    Path("g.json").write_text("{}")
    result = schedctl("graphs", "submit", "g.json")
    assert result.stderr == "schedctl: the server refused it:\n  changes[0]._type: is missing\n  has a cycle\n"


def test_a_server_that_is_down_is_named_with_what_to_do(schedctl: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    result = schedctl("workers", "ls", "--server", address)
    assert result.exit_code == 1
    assert result.stderr == (
        f"schedctl: cannot reach http://{address}: connection refused; "
        "is the server running? Start it, or set --server\n"
    )


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, b"<html>hello"), "instead of JSON"),
        (Reply(404, b"<html>no"), "without the scheduler's kind of error"),
        (Reply(302, b"", {"Location": "https://elsewhere/"}), "points to https://elsewhere/"),
        (Reply(502, b"bad gateway"), "is not ready to answer"),
        (Reply(hang_up=True), "broke off"),
        (answer({"unexpected": 1}), "unexpected answer"),
        (answer(["a", 1]), "unexpected answer"),
    ],
)
def test_an_answer_that_is_not_ours_is_no_traceback(twin: Twin, schedctl: Run, reply: Reply, said: str) -> None:
    twin.on("GET /hosts", reply)
    result = schedctl("workers", "ls")
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_server_that_does_not_answer_in_time_is_a_timeout(schedctl: Run) -> None:
    Path("c.yaml").write_text("connection_timeout: 50ms")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = schedctl("-c", "c.yaml", "--server", f"127.0.0.1:{silent.getsockname()[1]}", "workers", "ls")
    assert (result.exit_code, "within 0.05 s" in result.stderr) == (124, True)


def test_a_server_without_tls_is_told_apart(twin: Twin, schedctl: Run) -> None:
    result = schedctl("workers", "ls", "--server", twin.url.replace("http:", "https:"))
    assert (result.exit_code, "does not speak TLS" in result.stderr) == (1, True)


def test_a_program_that_does_not_speak_http_is_told_apart(schedctl: Run) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        result = schedctl("workers", "ls", "--server", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert "does not answer as an HTTP server does" in result.stderr


def test_an_unknown_name_is_told(schedctl: Run) -> None:
    result = schedctl("workers", "ls", "--server", "http://no-such-host.invalid:1")
    assert (result.exit_code, result.stderr.startswith("schedctl: cannot reach http://no-such-host")) == (1, True)


@pytest.mark.parametrize(
    "words",
    [["nothing"], ["workers", "get"], ["tasks", "schedule"], ["workers", "ls", "-o", "xml"], ["-c", "no", "whoami"]],
)
def test_wrong_usage_has_exit_code_2(schedctl: Run, words: list[str]) -> None:
    result = schedctl(*words)
    assert (result.exit_code, result.stdout) == (2, "")


def test_ctrl_c_ends_with_130_and_no_traceback(schedctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get", interrupted)
    result = schedctl("whoami")
    assert (result.exit_code, result.stderr.strip()) == (130, "schedctl: interrupted")


def test_a_closed_pipe_is_no_traceback(twin: Twin) -> None:
    twin.on("GET /hosts", answer({"items": [{"id": "x" * 100, "name": "x"}] * 10_000}))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "schedctl", "--server", twin.url, "workers", "ls"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3], check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    "words", [["-v", "--token", "sch_secret", "whoami"], ["whoami", "--token", "sch_secret", "-v"]]
)
def test_verbose_tells_each_call_and_never_the_token(twin: Twin, schedctl: Run, words: list[str]) -> None:
    twin.on("GET /whoami", problem(500, "broken"))
    result = schedctl(*words)
    assert twin.asked[0].headers["Authorization"] == "Bearer sch_secret"
    assert "GET /api/v1/whoami: 500" in result.stderr
    assert "secret" not in result.output


def test_a_token_is_not_sent_to_where_a_redirect_points(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /whoami", Reply(302, b"", {"Location": f"{twin.url}/elsewhere"}))
    schedctl("whoami", "--token", "t")
    assert [asked.path for asked in twin.asked] == ["/whoami"]


def test_a_readable_token_file_is_warned_about(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /whoami", answer({"user": "ann"}))
    Path("c.yaml").write_text("token: t")
    Path("c.yaml").chmod(0o644)
    result = schedctl("whoami", "-c", "c.yaml")
    assert (
        result.stderr == "schedctl: warning: c.yaml holds a token and other users can read it; run: chmod 600 c.yaml\n"
    )
    assert result.exit_code == 0
