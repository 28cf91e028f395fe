"""Memory limits of control groups, in folders that look like Linux's."""

from __future__ import annotations

import math

import psutil
import pytest

from impasto.base import cgroups

LIMIT, USED = 900_000_000, 100_000_000
UNLIMITED_V1 = 9223372036854771712
DOCKER = "/docker/0123"


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


V2_FILES = {"memory.max": LIMIT, "memory.current": USED}
V1_FILES = {"memory.limit_in_bytes": LIMIT, "memory.usage_in_bytes": USED}


def at(folder, files):
    return {f"{folder}/{name}": content for name, content in files.items()}


CASES = {
    "v2 in a container": {"proc/self/cgroup": "0::/", **at("sys/fs/cgroup", V2_FILES)},
    "v2 under systemd": {
        "proc/self/cgroup": "0::/user.slice/imp.scope",
        **at("sys/fs/cgroup/user.slice/imp.scope", V2_FILES),
    },
    "v2 limit of an ancestor": {
        "proc/self/cgroup": "0::/user.slice/imp.scope",
        **at("sys/fs/cgroup/user.slice", V2_FILES),
        **at("sys/fs/cgroup/user.slice/imp.scope", {**V2_FILES, "memory.max": "max"}),
    },
    "v2 mounted elsewhere": {
        "proc/self/cgroup": "4:memory:/\n0::/a",
        "proc/self/mountinfo": "41 31 0:38 / /groups rw,relatime shared:9 - cgroup2 cgroup2 rw",
        **at("groups/a", V2_FILES),
    },
    "v1": {
        "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/job/1\n0::/",
        **at("sys/fs/cgroup/memory/job/1", V1_FILES),
    },
    "v1 limit of an ancestor": {
        "proc/self/cgroup": "4:memory:/job/1",
        **at("sys/fs/cgroup/memory/job", V1_FILES),
        **at(
            "sys/fs/cgroup/memory/job/1",
            {**V1_FILES, "memory.limit_in_bytes": UNLIMITED_V1},
        ),
    },
    "v1 in a container, whose group is the top of the mount": {
        "proc/self/cgroup": f"4:memory:{DOCKER}",
        "proc/self/mountinfo": f"35 31 0:32 {DOCKER} /sys/fs/cgroup/memory rw - cgroup cgroup rw,x",
        **at("sys/fs/cgroup/memory", V1_FILES),
    },
    "of two limits the lower one": {
        "proc/self/cgroup": "0::/a/b",
        **at("sys/fs/cgroup/a", {**V2_FILES, "memory.max": 2 * LIMIT}),
        **at("sys/fs/cgroup/a/b", V2_FILES),
    },
    "a group outside of the namespace": {
        "proc/self/cgroup": "0::/../other",
        **at("sys/fs/cgroup", V2_FILES),
    },
}


@pytest.mark.parametrize("name", CASES)
def test_limits_are_found(name, tmp_path):
    write(tmp_path, CASES[name])
    assert cgroups.free_memory(tmp_path) == LIMIT - USED


@pytest.mark.parametrize("content", ["max", UNLIMITED_V1, "nonsense"])
def test_no_limit(content, tmp_path):
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": content})
    assert cgroups.free_memory(tmp_path) > 1e18
    assert cgroups.free_memory(tmp_path / "none") == math.inf


def test_file_contents_that_the_kernel_can_drop_are_free(tmp_path):
    write(tmp_path, CASES["v2 in a container"])
    write(tmp_path, {"sys/fs/cgroup/memory.stat": f"anon 7\ninactive_file {USED // 2}"})
    assert cgroups.free_memory(tmp_path) == LIMIT - USED // 2


def test_without_a_figure_of_usage_this_process_counts(tmp_path):
    write(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": LIMIT})
    used = psutil.Process().memory_info().rss
    assert cgroups.free_memory(tmp_path) == pytest.approx(LIMIT - used, abs=5e7)
