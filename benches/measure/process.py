"""Processes that are measured: started on a port of their own, waited for, and stopped by their own pid."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
STARTS_WITHIN_S = 120
STOPS_WITHIN_S = 90


class Failed(Exception):
    """Something could not be measured; says why."""


def free_port():
    """A port of this host that nobody listens on, for TCP and UDP."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp:
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue


def get(port, path, timeout=5):
    """(status, body) of a GET; raises OSError or HTTPException when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def metrics(port, timeout=10):
    """quell's page of metrics, as lines."""
    return get(port, "/metrics", timeout)[1].decode().splitlines()


def metric(page, name):
    """Sum over all series of a metric of that name, or of the one series with these labels."""
    total = 0.0
    for line in page:
        if line.startswith(name) and (name.endswith("}") or line[len(name) : len(name) + 1] in ("{", " ")):
            total += float(line.rsplit(" ", 1)[1])
    return total


class Server:
    """A server that runs until `stop`, or until the `with` around it ends, which also removes its folder."""

    def __init__(self, name, argv, port, folder, ready=None, env=None):
        self.name, self.port, self.folder = name, port, folder
        self.log = os.path.join(folder, f"{name}-{port}.log")
        began = time.perf_counter()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=env,
                start_new_session=True,
            )
        self.pid = self.process.pid
        try:
            self._wait(ready, began)
        except BaseException:
            self.stop()
            raise
        self.started_ms = (time.perf_counter() - began) * 1000

    def _wait(self, ready, began):
        """Until it answers: to the path `ready` with 200, or by taking a connection."""
        while time.perf_counter() - began < STARTS_WITHIN_S:
            try:
                if ready is None:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
                if get(self.port, ready)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}: {self.said()}")
            time.sleep(0.001)
        raise Failed(f"{self.name} did not answer within {STARTS_WITHIN_S} s: {self.said()}")

    def said(self):
        """The end of what it wrote."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def memory_mb(self, field="VmRSS"):
        """Resident memory; `VmHWM` is the most that it ever was."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024 / 1e6
        return 0.0

    def cpu_s(self):
        """Seconds that it and the children it has waited for have computed."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return sum(int(it) for it in fields[11:15]) / TICKS_A_SECOND

    def stop(self):
        """Asks it to end, and after a while makes it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self

    def kill(self):
        """Ends it at once: for what is not needed any more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOPS_WITHIN_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """What it stored is not wanted: gigabytes would gather."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Watch:
    """Does something again and again beside a measurement, and keeps what came of it."""

    def __init__(self, every_s, look):
        self.seen, self.failed = [], 0
        self._every_s, self._look = every_s, look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._over.is_set():
            began = time.perf_counter()
            try:
                self.seen.append(self._look())
            except (OSError, http.client.HTTPException, Failed):
                self.failed += 1
            self._over.wait(max(0.0, self._every_s - (time.perf_counter() - began)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)


def busy_s():
    """Seconds that all cores of this machine have computed since it was started."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_A_SECOND


def wait_for_quiet(patience_s, busy_cores=0.2):
    """Waits for a moment in which others compute little, but not for ever; says whether it came."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        before = busy_s()
        time.sleep(0.5)
        if (busy_s() - before) / 0.5 < busy_cores:
            return True
    return False


def until(what, within_s, is_so, every_s=0.1):
    """Waits until something is so, and fails when it is not in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if is_so():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(every_s)
    raise Failed(f"{what} did not happen within {within_s:.0f} s")
