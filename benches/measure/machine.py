"""What was measured, and on what: enough to judge the figures by, and nothing that names a machine or a person."""

import os
import platform
import re
import shutil
import subprocess
import time

from .bench import REPOSITORY


def said(*argv):
    """The first line that a command prints; empty when it is not there."""
    if shutil.which(argv[0]) is None:
        return ""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=REPOSITORY, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines and done.returncode == 0 else ""


def first_match(file, pattern):
    """The first group of the first match in a file."""
    try:
        with open(file, encoding="utf-8") as text:
            found = re.search(pattern, text.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def flush_us(folder, times=200):
    """Median microseconds of writing 1 kB and having it on the disk, where the databases are."""
    path, took = os.path.join(folder, "flush"), []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for _ in range(times):
            began = time.perf_counter()
            os.write(file, b"x" * 1024)
            os.fdatasync(file)
            took.append(time.perf_counter() - began)
    finally:
        os.close(file)
        os.remove(path)
    return round(sorted(took)[times // 2] * 1e6)


def file_system(folder):
    """Kind of the file system that a folder is on: on a tmpfs nothing is durable, and everything is fast."""
    best, kind = "", ""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, place, its_kind = line.split()[:3]
            inside = (os.path.realpath(folder) + "/").startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(best):
                best, kind = place, its_kind
    return kind


def package(name):
    """Version of an installed Debian package."""
    line = said("dpkg-query", "--show", "--showformat=${Version}", name)
    return line or "not installed"


def postgres():
    """Version of the PostgreSQL that tests/postgres.sh starts: the newest."""
    folder = "/usr/lib/postgresql"
    try:
        newest = max(os.listdir(folder), key=lambda it: [int(part) if part.isdigit() else 0 for part in it.split(".")])
    except (OSError, ValueError):
        return "not installed"
    return said(os.path.join(folder, newest, "bin", "postgres"), "--version") or "not installed"


def facts(bench):
    """Machine and versions."""
    memory_kb = int(first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)") or 0)
    changed = said("git", "status", "--porcelain", "--untracked-files=no")
    commit = said("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    lock = os.path.join(REPOSITORY, "Cargo.lock")
    return {
        "machine": {
            "cores": os.cpu_count(),
            "cpu": first_match("/proc/cpuinfo", r"^model name\s*: (.*)$"),
            "memory_gb": round(memory_kb * 1024 / 1e9, 1),
            "kernel": platform.release().split("-")[0],
            "file_system": file_system(bench.folder),
            "flush_of_1_kb_us": flush_us(bench.folder),
        },
        "versions": {
            "quell": commit + (" with changes" if changed else ""),
            "profile": bench.profile,
            "rustc": said("rustc", "--version"),
            "SQLite (libsqlite3-sys)": first_match(lock, r'name = "libsqlite3-sys"\nversion = "([^"]+)"'),
            "PostgreSQL": postgres(),
            "axum": first_match(lock, r'name = "axum"\nversion = "([^"]+)"'),
            "webhook": package("webhook"),
            "prometheus-alertmanager": package("prometheus-alertmanager"),
        },
    }
