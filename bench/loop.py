"""A hand-written loop, for comparison: ask over HTTP, score, keep in SQLite with a grouped commit. No resume, no retry.

`loop.py PORT QUESTIONS CONCURRENCY` prints questions a second.
"""

import asyncio
import csv
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from tamiz.scoring import TfidfScorer


async def main(port: int, rows: list[dict[str, str]], concurrency: int) -> None:
    scorer = TfidfScorer()
    done: list[tuple[str, str, float | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "answers.db")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE answers (id TEXT PRIMARY KEY, answer TEXT, score REAL)")
        began = time.monotonic()
        todo = iter(rows)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def work() -> None:
                for row in todo:
                    body = {"model": "bench", "messages": [{"role": "user", "content": row["question"]}]}
                    async with session.post(
                        f"http://127.0.0.1:{port}/v1/chat/completions", data=msgspec.json.encode(body)
                    ) as response:
                        answer = msgspec.json.decode(await response.read())["choices"][0]["message"]["content"]
                    done.append((row["id"], answer, scorer.score(answer, row["answer"]).value))
                    if len(done) >= 256:
                        keep()

            def keep() -> None:
                with db:
                    db.executemany("INSERT INTO answers VALUES (?, ?, ?)", done)
                done.clear()

            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work())
            keep()
        seconds = time.monotonic() - began
        (kept,) = db.execute("SELECT count(*) FROM answers").fetchone()
        db.close()
    assert kept == len(rows)
    print(len(rows) / seconds)


if __name__ == "__main__":
    questions = list(csv.DictReader(Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()))
    uvloop.run(main(int(sys.argv[1]), questions, int(sys.argv[3])))
