"""The CPUs that a process may really use: affinity, cgroup v2 and v1, in trees like those of the kernel."""

from __future__ import annotations

import math
import os

import pytest

from greenserve.process import cpus

V2 = "0::"
V1 = "12:memory:/docker/abc\n5:cpu,cpuacct:{0}\n3:cpuset:{0}\n1:name=systemd:{0}\n"


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    """Have this process be allowed on eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


@pytest.fixture
def tree(tmp_path):
    """Return a function that makes the files of a kernel: a path below the root and its content each."""

    def make(groups, **files):
        for name, content in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return make


def group(path, content):
    return {f"sys/fs/cgroup{path}/cpu.max": content + "\n"}


def v1(folder, quota, period=100000):
    return {
        f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": f"{period}\n",
    }


def test_without_any_group_the_affinity_counts(tmp_path):
    assert cpus.available(str(tmp_path)) == 8


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("100001 100000", 2),
        ("100000 100000", 1),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("25000 50000", 1),
        ("", 8),
        ("0 100000", 1),
        ("100000 0", 8),
        ("nonsense", 8),
    ],
)
def test_a_quota_is_rounded_up_and_at_least_one(tree, content, expected):
    assert cpus.available(str(tree("0::/\n", **group("", content)))) == expected


def test_the_smallest_quota_on_the_way_up_counts(tree):
    root = tree(
        "0::/site.slice/shop.service\n",
        **group("/site.slice/shop.service", "max 100000"),
        **group("/site.slice", "300000 100000"),
        **group("", "600000 100000"),
        **group("/other.slice", "100000 100000"),
    )
    assert cpus.available(str(root)) == 3
    assert cpus.quota(root) == 3.0


def test_a_path_of_the_host_leads_to_what_is_mounted_in_the_container(tree):
    root = tree("0::/kubepods/pod7/abc\n", **group("", "200000 100000"))
    assert cpus.available(str(root)) == 2
    root = tree("0::/../../abc\n", **group("", "200000 100000"), **group("/../../abc", "100000 100000"))
    assert cpus.available(str(root)) == 2


@pytest.mark.parametrize("mounted", ["cpu,cpuacct", "cpu"])
def test_version_1_has_two_files(tree, mounted):
    assert cpus.available(str(tree(V1.format("/"), **v1(mounted, 250000)))) == 3


def test_version_1_in_a_group_of_its_own(tree):
    root = tree(V1.format("/docker/abc"), **v1("cpu,cpuacct/docker/abc", 200000), **v1("cpu,cpuacct", -1))
    assert cpus.available(str(root)) == 2


def test_version_1_without_a_limit(tree):
    root = tree(V1.format("/"), **v1("cpu,cpuacct", -1))
    assert cpus.quota(root) == math.inf
    assert cpus.available(str(root)) == 8


def test_both_versions_at_once(tree):
    root = tree(
        V1.format("/") + "0::/\n",
        **v1("cpu", 500000),
        **{"sys/fs/cgroup/unified/cpu.max": "400000 100000"},
    )
    assert cpus.available(str(root)) == 4


def test_controllers_that_only_sound_alike_do_not_count(tree):
    root = tree("3:cpuset:/\n2:cpuacct:/\n", **v1("cpuset", 100000), **v1("cpuacct", 100000))
    assert cpus.available(str(root)) == 8


def test_the_affinity_is_a_bound_too(tree, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5})
    assert cpus.available(str(tree("0::/\n", **group("", "400000 100000")))) == 1


def test_where_there_is_no_affinity_all_cpus_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cpus.available(str(tmp_path)) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus.available(str(tmp_path)) == 1


def test_this_machine_has_some():
    assert 1 <= cpus.available() <= 8
