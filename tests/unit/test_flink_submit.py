import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tamiz.flink import jobmanager, submit
from tamiz.flink.checkpoints import newest, uri

NAME = "p.tamiz-judge"
PASSWORD = "not-to-be-shown"
RUNNING = {"total": 2, "running": 2}
CLIENT = """#!/bin/sh
# A client of Flink's: tells what it was told, and what of it becomes of it is in the file `answer`.
echo "$@" >> "$(dirname "$0")/told"
for last; do :; done
cp "$last" "$(dirname "$0")/plan.json"
. "$(dirname "$0")/answer"
"""


class FakeFlink:
    """A JobManager that knows some jobs, and a client whose end is told beforehand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[dict[str, Any]] = []
        self.rest = ""
        self.parameters: dict[str, str] = {}
        self.told = folder / "told"
        client = folder / "flink"
        client.write_text(CLIENT)
        client.chmod(client.stat().st_mode | stat.S_IXUSR)
        self.answer("exit 0")

    def answer(self, script: str) -> None:
        """Say what the client does."""
        (self.folder / "answer").write_text(script)

    def knows(self, jid: str, state: str, name: str = NAME) -> None:
        """Let the JobManager know of a job."""
        self.jobs.append({"jid": jid, "name": name, "state": state, "tasks": RUNNING})

    def submit(self, *args: str) -> int:
        """Run the command."""
        checkpoints = ("--checkpoints", str(self.folder / "checkpoints"))
        where = ("--rest", self.rest, "--bus", "kafka:h:1?prefix=p.", "--client", str(self.folder / "flink"))
        return submit.main([*where, *checkpoints, "--wait", "60s", *args])

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that the client got last."""
        found: dict[str, Any] = json.loads((self.folder / "plan.json").read_bytes())
        return found

    def checkpoint(self, path: str, at: float, *, whole: bool = True) -> str:
        """Lay down a checkpoint; give its URI."""
        folder = self.folder / "checkpoints" / NAME / path
        folder.mkdir(parents=True)
        if whole:
            (folder / "_metadata").touch()
            os.utime(folder / "_metadata", (at, at))
        return f"file://{folder}"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlink]:
    for name in [name for name in os.environ if name.startswith(("TAMIZ_", "KAFKA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobmanager, "_STEADY", 0.1)
    monkeypatch.setattr(jobmanager, "_POLL", 0.02)
    flink = FakeFlink(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            config = {"execution-config": {"user-config": flink.parameters}}
            paths: Mapping[str, object] = {
                **{f"/jobs/{job['jid']}/config": config for job in flink.jobs},
                "/jobs/overview": {"jobs": flink.jobs},
                "/overview": {"slots-available": 0, "slots-total": 0},
            }
            # the client's job appears as soon as the client has run
            if flink.told.exists() and (flink.folder / "taken").exists():
                jid = (flink.folder / "taken").read_text().strip() or flink.plan["job_id"]
                if all(job["jid"] != jid for job in flink.jobs):
                    flink.knows(jid, "RUNNING")
            body = json.dumps(paths.get(self.path, {})).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def do_PATCH(self) -> None:
            for job in flink.jobs:
                job["state"] = "CANCELED"
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    flink.rest = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield flink
    server.shutdown()
    thread.join()
    server.server_close()


TAKEN = 'touch "$(dirname "$0")/taken"'


def test_a_job_is_started_and_its_id_printed(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(TAKEN)
    assert fake.submit() == 0
    said = capsys.readouterr()
    assert said.out == fake.plan["job_id"] + "\n"
    assert f"{NAME} runs" in said.err
    assert "--fromSavepoint" not in fake.told.read_text()
    assert PASSWORD not in fake.told.read_text()
    assert PASSWORD in fake.plan["kafka"]["sasl.jaas.config"]


@pytest.mark.parametrize("state", ["RUNNING", "CREATED", "RESTARTING", "INITIALIZING"])
def test_a_job_that_goes_on_is_left_alone(fake: FakeFlink, capsys: pytest.CaptureFixture[str], state: str) -> None:
    fake.knows("a" * 32, state)
    if state != "RUNNING":
        threading.Timer(0.2, lambda: fake.jobs[0].update(state="RUNNING")).start()
    assert fake.submit() == 0
    said = capsys.readouterr()
    assert said.out == "a" * 32 + "\n"
    assert "runs already" in said.err
    assert not fake.told.exists()


def test_a_job_with_other_settings_is_told_of(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.knows("a" * 32, "RUNNING")
    fake.parameters = {"tamiz.settings": "of another threshold"}
    assert fake.submit() == 0
    assert "with other settings: to change them, --stop it" in capsys.readouterr().err


def test_jobs_of_others_and_jobs_that_ended_do_not_count(fake: FakeFlink) -> None:
    fake.knows("a" * 32, "RUNNING", "q.tamiz-judge")
    fake.knows("b" * 32, "CANCELED")
    fake.answer(TAKEN)
    assert fake.submit() == 0
    assert fake.told.exists()


def test_two_at_once_make_the_same_id(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    """So Flink refuses the second, which then finds the first."""
    fake.answer(f"{TAKEN}; echo 'x.DuplicateJobSubmissionException: Job has already been submitted.'; exit 1")
    assert fake.submit() == 0
    assert capsys.readouterr().out == fake.plan["job_id"] + "\n"


def test_an_id_of_a_job_that_ended_is_not_used_again(fake: FakeFlink) -> None:
    """Flink refuses it, for as long as the JobManager lives; also when its list of jobs has forgotten it."""
    fake.answer(TAKEN)
    assert fake.submit() == 0
    first = fake.plan["job_id"]
    (fake.folder / "taken").unlink()
    fake.jobs[:] = []
    fake.knows(first, "CANCELED")
    fake.answer(TAKEN)
    assert fake.submit() == 0
    second = fake.plan["job_id"]
    assert second != first
    (fake.folder / "taken").unlink()
    fake.jobs[:] = []
    fake.answer(
        f'grep -q {first} "$(dirname "$0")/plan.json" && {{ echo DuplicateJobSubmissionException; exit 1; }}; {TAKEN}'
    )
    assert fake.submit() == 0
    assert fake.plan["job_id"] == second


def test_it_goes_on_from_the_newest_whole_checkpoint(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.checkpoint("aaaa/chk-900", 1_000)
    last = fake.checkpoint("bbbb/chk-7", 2_000)
    fake.checkpoint("bbbb/chk-8", 3_000, whole=False)
    fake.checkpoint("bbbb/shared", 4_000, whole=False)
    fake.answer(TAKEN)
    assert fake.submit() == 0
    assert f"--fromSavepoint {last} -claimMode CLAIM" in fake.told.read_text()
    assert f"going on from {last}" in capsys.readouterr().err


def test_a_savepoint_that_is_newer_counts(fake: FakeFlink) -> None:
    fake.checkpoint("aaaa/chk-900", 1_000)
    savepoint = fake.checkpoint("savepoint-aaaa-1", 2_000)
    assert newest(uri(str(fake.folder / "checkpoints" / NAME))) == savepoint


def test_a_checkpoint_may_be_named_or_passed_over(fake: FakeFlink) -> None:
    fake.checkpoint("aaaa/chk-1", 1_000)
    fake.answer(TAKEN)
    assert fake.submit("--from", "s3://bucket/chk-5") == 0
    assert "--fromSavepoint s3://bucket/chk-5" in fake.told.read_text()
    (fake.folder / "taken").unlink()
    fake.jobs[:] = []
    fake.told.unlink()
    assert fake.submit("--fresh") == 0
    assert "--fromSavepoint" not in fake.told.read_text()


def test_a_job_that_only_tries_to_run_can_be_stopped(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.knows("a" * 32, "RESTARTING")
    assert fake.submit("--stop") == 0
    assert fake.submit("--stop") == 0
    said = capsys.readouterr().err
    assert f"{NAME} has stopped" in said
    assert f"{NAME} does not run" in said


def test_what_the_client_says_is_shown_without_secrets(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(f"echo 'bad option {PASSWORD}'; echo '    at org.apache.Frame'; exit 1")
    assert fake.submit() == 1
    said = capsys.readouterr().err
    assert "bad option (a secret)" in said
    assert "Frame" not in said


def test_a_job_that_does_not_come_to_run_is_told_why(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    fake.jobs.append({"jid": "a" * 32, "name": NAME, "state": "RUNNING", "tasks": {"total": 2, "scheduled": 2}})
    assert fake.submit("--wait", "0.5s") == 1
    assert "no slot is free (there are 0): start a TaskManager" in capsys.readouterr().err


def test_without_a_jobmanager_it_says_what_to_do(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.submit("--rest", "http://127.0.0.1:1", "--wait", "0.3s") == 1
    assert "no JobManager answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_without_a_client_it_says_what_to_do(fake: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.submit("--client", "/no/flink") == 2
    assert "FLINK_HOME" in capsys.readouterr().err


def test_without_a_bus_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAMIZ_BUS", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert submit.main([]) == 2
    assert "--bus" in capsys.readouterr().err


@pytest.mark.parametrize("time", ["often", "0s", "1ms"])
def test_a_duration_that_is_none_is_refused(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        submit.main(["--checkpoint-every", time])
    assert left.value.code == 2
    assert repr(time) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "wanted"),
    [
        ("/a/b c", "file:///a/b c"),
        ("file:/a/b", "file:///a/b"),
        ("file:///a/b/", "file:///a/b"),
        ("s3://b/c", "s3://b/c"),
    ],
)
def test_a_folder_is_named_as_flink_reads_it(folder: str, wanted: str) -> None:
    assert uri(folder) == wanted
