"""What goes wrong: processes killed at any moment, a full disk, a crowd."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time

import httpx
import pytest
from studio_server import INSTANT, QUICK, SLOW, Studio, is_alive, png, running, served
from test_text import picture_request

from impasto.base.errors import RecipeError
from impasto.studio.jobs.models import StepProgress
from impasto.studio.jobs.store import Store
from impasto.studio.server import context
from impasto.studio.server.settings import Settings
from impasto.studio.workers.pool import MAX_CRASHES, WorkerPool
from impasto.studio.workers.process import WorkerProcess
from impasto.studio.workers.protocol import JobAdvanced, WorkerActivity

MIDDLE = {**QUICK, "size": 64, "steps": 60, "scales": 1}


def ends(studio: Studio, id: str) -> list[str]:
    rows = studio.client.get(f"/v1/jobs/{id}/events").text.splitlines()
    return [row for row in rows if row in ("event: done", "event: failed", "event: stopped")]


def test_a_killed_worker_fails_nobody(tmp_path, photo_image, painting_image):
    with running(tmp_path / "data") as studio:
        first = studio.job(photo_image, painting_image, MIDDLE)
        second = studio.job(photo_image, painting_image, QUICK)
        studio.wait(first["id"], "running", step=5)
        (worker,) = studio.workers()
        worker.kill()
        assert studio.wait(first["id"], "done")["step"] == 60
        studio.wait(second["id"], "done")
        for job in (first, second):
            assert ends(studio, job["id"]) == ["event: done"]
        assert "impasto_worker_crashes 1.0" in studio.client.get("/v1/metrics").text


@pytest.mark.parametrize("moment", [0.0, 0.7])
def test_a_killed_server_goes_on_where_it_was(moment, tmp_path, photo_image, painting_image):
    with running(tmp_path / "data") as studio:
        done = studio.job(photo_image, painting_image, INSTANT)
        studio.wait(done["id"], "done")
        picture = tmp_path / "data/jobs" / done["id"] / "result.png"
        written = picture.stat().st_mtime_ns
        jobs = [studio.job(photo_image, painting_image, MIDDLE) for _ in range(2)]
        studio.wait(jobs[0]["id"], "running", step=1)
        time.sleep(moment)
        (worker,) = studio.workers()
        studio.kill()
        studio.start()
        studio.wait_until_ready()
        assert not is_alive(worker.pid)  # no two paint in one folder
        for job in jobs:
            assert studio.wait(job["id"], "done")["step"] == 60
            assert ends(studio, job["id"]) == ["event: done"]
        assert picture.stat().st_mtime_ns == written


def test_a_picture_that_was_ready_when_the_server_died_is_not_painted_again(
    tmp_path, photo_image, painting_image
):
    with running(tmp_path / "data") as studio:
        job = studio.job(photo_image, painting_image, MIDDLE)
        studio.wait(job["id"], "running", step=30)
        studio.process.send_signal(19)  # SIGSTOP: it hears nothing more
        ended = tmp_path / "data/jobs" / job["id"] / "ended.json"
        deadline = time.monotonic() + 60
        while not ended.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        written = ended.with_name("result.png").stat().st_mtime_ns
        studio.kill()
        studio.start()
        assert studio.wait(job["id"], "done")["step"] == 60
        assert ended.with_name("result.png").stat().st_mtime_ns == written


def test_a_job_that_kills_its_workers_fails(tmp_path):
    store = Store(tmp_path)
    job = store.add(store.new_folder(), picture_request())
    pool = WorkerPool(store, 0)
    for crash in range(1, MAX_CRASHES + 1):
        pool.on_worker_exit(painting(job), -9)
        expected = "queued" if crash < MAX_CRASHES else "failed"
        assert store.get(job.id).state == expected
    assert "killed, probably for want of memory" in store.get(job.id).error


@pytest.mark.parametrize("reported", ["an instant job", ""])
def test_only_the_job_that_the_worker_reported_counts_a_crash(reported, tmp_path):
    store = Store(tmp_path)
    job = store.add(store.new_folder(), picture_request())
    pool = WorkerPool(store, 0)
    for _ in range(MAX_CRASHES):
        worker = painting(job)
        pool.handle_event(worker, WorkerActivity(job=reported))
        pool.on_worker_exit(worker, -9)
    assert store.get(job.id).state == "queued"


def test_progress_of_a_job_forgives_its_crashes(tmp_path):
    store = Store(tmp_path)
    job = store.add(store.new_folder(), picture_request())
    pool = WorkerPool(store, 0)
    for step in range(1, 2 * MAX_CRASHES):
        pool.on_worker_exit(painting(job), -9)
        assert store.get(job.id).state == "queued"
        running = store.get(job.id)
        running.state = "running"
        store.save(running)
        pool.handle_event(painting(job), JobAdvanced(job=job.id, progress=at_step(step)))
        assert (store.get(job.id).progress.step, store.get(job.id).crashes) == (step, 0)


def at_step(step: int) -> StepProgress:
    return StepProgress(step=step, steps=9, scale=64, losses=None, seconds=1, eta=1, preview=0)


def painting(job) -> WorkerProcess:
    """A worker that is painting that job."""
    worker = WorkerProcess(0, None)
    worker.job_ids, worker.current_job_id, worker.reported_job_id = [job.id], job.id, None
    return worker


def test_an_end_that_cant_be_read_is_no_end(tmp_path):
    store = Store(tmp_path)
    job = store.add(store.new_folder(), picture_request())
    (store.folder_of(job) / "ended.json").write_text('{"job": "x", "ended": "perhaps"}')
    WorkerPool(store, 0).on_worker_exit(painting(job), -9)
    assert store.get(job.id).state == "queued"


def test_a_pool_outlives_what_goes_wrong_in_it(tmp_path, monkeypatch):
    """A worker that can't be started, one that sends no messages, a disk too full to record it."""
    pool = WorkerPool(Store(tmp_path), 1)
    started = []

    async def story() -> None:
        spawn = asyncio.create_subprocess_exec

        async def start(*command, **options):
            started.append(command)
            if len(started) == 1:
                raise OSError("no memory for another process")
            babble = "print('x' * 5000, flush=True); import time; time.sleep(60)"
            command = (sys.executable, "-c", babble)
            return await spawn(*command, **options)

        def on_worker_exit(worker, code):
            raise OSError("no space left on device")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        monkeypatch.setattr(pool, "on_worker_exit", on_worker_exit)
        await pool.start()
        while len(started) < 3:
            await asyncio.sleep(0.05)
        await pool.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_stop_is_not_forgotten(tmp_path, photo_image, painting_image):
    with running(tmp_path / "data") as studio:
        job = studio.job(photo_image, painting_image, SLOW)
        studio.wait(job["id"], "running", step=3)
        (worker,) = studio.workers()
        worker.suspend()  # it will never hear of it
        assert studio.client.post(f"/v1/jobs/{job['id']}/stop").status_code == 202
        studio.kill()
        worker.kill()
        studio.start()
        assert studio.wait(job["id"], "stopped")["step"] < SLOW["steps"]


def test_a_crowd_of_uploads_fills_no_more_than_the_queue(tmp_path, photo_image, painting_image):
    files = {"content": png(photo_image), "styles": png(painting_image)}

    async def crowd(address: str) -> list[int]:
        async with httpx.AsyncClient(timeout=60) as http:
            posts = (http.post(f"{address}/v1/jobs", files=files) for _ in range(12))
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    with served(Settings(tmp_path, workers=0, queue=2)) as address:
        assert sorted(asyncio.run(crowd(address))) == [202] * 2 + [429] * 10
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_only_so_many_wait_for_a_picture_at_once(tmp_path, photo_image, painting_image):
    files = {"content": png(photo_image), "styles": png(painting_image)}

    async def crowd(address: str) -> list[int]:
        async with httpx.AsyncClient(timeout=1.5) as http:
            found = []

            async def post() -> None:
                with contextlib.suppress(httpx.TimeoutException):
                    found.append(
                        (await http.post(f"{address}/v1/stylize", files=files)).status_code
                    )

            waiting = [asyncio.create_task(post()) for _ in range(2)]
            await asyncio.sleep(0.7)
            await post()
            await asyncio.gather(*waiting)
            return found

    with served(Settings(tmp_path, workers=0, queue=2)) as address:
        assert asyncio.run(crowd(address)) == [429]


def test_what_a_killed_upload_left_is_removed(tmp_path):
    store = Store(tmp_path)
    (store.new_folder() / "content").write_text("half")
    store.remove_orphans()
    assert not list(store.folder.iterdir())


def test_old_pictures_go(tmp_path):
    store = Store(tmp_path)
    jobs = []
    for age_days in (40, 3, 2, 1):
        job = store.add(store.new_folder(), picture_request())
        (store.folder_of(job) / "result.png").write_bytes(bytes(1_000_000))
        job.state, job.finished = "done", time.time() - age_days * 86400
        store.save(job)
        jobs.append(job)
    store.prune(keep_days=30, keep_gigabytes=0.0025)
    assert [job.id for job in store.every()] == [jobs[2].id, jobs[3].id]
    assert not store.folder_of(jobs[0]).exists()


def test_the_queue_is_bounded(tmp_path, photo_image, painting_image):
    files = {"content": png(photo_image), "styles": png(painting_image)}
    with served(Settings(tmp_path, workers=0, queue=2)) as address:
        answers = [httpx.post(f"{address}/v1/jobs", files=files) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].headers["retry-after"] == "30"
        assert [answer.json()["position"] for answer in answers[:2]] == [0, 1]
        listed = httpx.get(f"{address}/v1/jobs").json()["jobs"]
        assert len(listed) == 2


def test_a_full_disk(tmp_path, photo_image, painting_image, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        files = {"content": png(photo_image), "styles": png(painting_image)}
        with served(Settings(disk, workers=0)) as address:
            refused = httpx.post(f"{address}/v1/jobs", files=files)
            assert (refused.status_code, "disk is full" in refused.text) == (507, True)
            monkeypatch.setattr(context, "MIN_FREE_BYTES", 0)  # it fills while we write
            fill(disk / "filler")
            refused = httpx.post(f"{address}/v1/jobs", files=files)
            assert (refused.status_code, "disk is full" in refused.text) == (507, True)
            (disk / "filler").unlink()
            assert httpx.post(f"{address}/v1/jobs", files=files).status_code == 202
            assert len(httpx.get(f"{address}/v1/jobs").json()["jobs"]) == 1
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def fill(path) -> None:
    """The whole disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_two_hundred_clients_at_once(tmp_path, photo_image, painting_image):
    with running(tmp_path / "data") as studio:
        job = studio.job(photo_image, painting_image, SLOW)

        async def client(http: httpx.AsyncClient, number: int) -> int:
            if number % 4:
                return (await http.get(f"/v1/jobs/{job['id']}")).status_code
            async with http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("event: progress"):
                        return answer.status_code
            return 0

        async def crowd() -> list[int]:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(
                base_url=studio.address, limits=limits, timeout=60
            ) as http:
                return await asyncio.gather(*(client(http, number) for number in range(200)))

        assert set(asyncio.run(crowd())) == {200}
        studio.client.delete(f"/v1/jobs/{job['id']}")


def test_two_workers_paint_two_pictures(tmp_path, photo_image, painting_image):
    with running(tmp_path / "data", "--workers", "2") as studio:
        while studio.client.get("/v1/health").json()["workers"] < 2:
            time.sleep(0.1)
        jobs = [studio.job(photo_image, painting_image, SLOW) for _ in range(2)]
        for job in jobs:
            studio.wait(job["id"], "running", step=2)
        assert studio.client.get("/v1/health").json()["running"] == 2
        for job in jobs:
            studio.client.delete(f"/v1/jobs/{job['id']}")


def test_open_to_others_needs_a_token(tmp_path):
    with pytest.raises(RecipeError, match="a --token is needed"):
        Settings(tmp_path, host="0.0.0.0")


def test_the_command_refuses_in_one_sentence(impasto, tmp_path):
    assert "a --token is needed" in impasto("studio", "--host", "0.0.0.0").sentence()
    (tmp_path / "file").write_text("")
    refused = impasto("studio", "--data", tmp_path / "file" / "x")
    assert "can't be made" in refused.sentence()
    with served(Settings(tmp_path / "data", workers=0)) as address:
        port = address.rpartition(":")[2]
        assert "can't listen" in impasto("studio", "--port", port).sentence()


def test_a_data_folder_is_for_one_server(tmp_path, monkeypatch):
    from impasto.base.errors import OutputError
    from impasto.studio.server import lock

    held = lock.hold(tmp_path)
    monkeypatch.setattr(lock, "WAIT_S", 0.2)
    with pytest.raises(OutputError, match="another studio uses"):
        lock.hold(tmp_path)
    assert held is not None
