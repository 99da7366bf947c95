"""What all parts share: where things are, how often and how long is measured, and the servers that are measured."""

import contextlib
import glob
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time

from . import settings
from .process import Failed, Server, busy_s, free_port, wait_for_quiet

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(REPOSITORY, "benches", "tools")
BUILDS_WITHIN_S = 3600


class Bench:
    """One run of benches/run."""

    def __init__(self, options):
        self.quick, self.rounds = options.quick, options.rounds
        self.soak_s, self.profile = options.soak, options.profile
        self.folder = tempfile.mkdtemp(prefix="quell-bench-", dir=options.data)
        self.target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(REPOSITORY, "target")
        self.raw = []
        self._postgres = self._postgres_owner = None
        self._databases = 0
        # an open loop of thousands of connections
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._postgres_owner is not None:
            # PostgreSQL goes with it, and takes its folder along
            self._postgres_owner.kill()
            self._postgres_owner.wait()
            until = time.monotonic() + 20
            while glob.glob(os.path.join(self.folder, "quell-postgres.*")) and time.monotonic() < until:
                time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what is measured with

    def cargo(self, *arguments, folder=REPOSITORY, target=None, within_s=BUILDS_WITHIN_S, capture=False):
        """Runs cargo; returns what it printed if that is wanted."""
        env = dict(os.environ, CARGO_TARGET_DIR=target or self.target)
        out = subprocess.PIPE if capture else None
        try:
            done = subprocess.run(
                ["cargo", *arguments], cwd=folder, env=env, timeout=within_s, text=True, check=False,
                stdout=out, stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"cargo {arguments[0]} took longer than {within_s} s") from late
        if done.returncode != 0:
            raise Failed(f"cargo {' '.join(arguments)} failed: {(done.stdout or '')[-2000:]}")
        return done.stdout

    def build(self):
        """Builds quell and the tools."""
        self.cargo("build", "--locked", "--profile", self.profile, "--bin", "quell")
        tools = os.path.join(self.target, "bench-tools")
        self.cargo("build", "--locked", "--release", folder=TOOLS, target=tools)

    @property
    def quell_binary(self):
        """Its path."""
        return os.path.join(self.target, "debug" if self.profile == "dev" else self.profile, "quell")

    def tool(self, name):
        """Path of a tool."""
        return os.path.join(self.target, "bench-tools", "release", name)

    def new_folder(self):
        """A folder of its own for one server."""
        return tempfile.mkdtemp(dir=self.folder)

    def settle(self):
        """Waits for others on this machine to be quiet; not long, and not for a quick look."""
        if not self.quick:
            wait_for_quiet(4)

    def say(self, words):
        """Says what is going on."""
        print(f"[{time.strftime('%H:%M:%S')}] {words}", flush=True)

    @contextlib.contextmanager
    def tolerated(self, what):
        """What fails in here is said, and the round goes on."""
        try:
            yield
        except Failed as why:
            self.say(f"{what}: FAILED: {why}")

    def load(self, servers, *, what, path="/", seconds=None, warm=None, within_s=None, **others):
        """Posts alerts at servers; returns what the generator counted, with the CPU that all took."""
        seconds = seconds if seconds is not None else (1 if self.quick else 4)
        warm = warm if warm is not None else (0.3 if self.quick else 1)
        argv = [self.tool("load"), *(f"127.0.0.1:{it.port}" for it in servers)]
        for name, value in dict(path=path, seconds=seconds, warm=warm, **others).items():
            argv += [f"--{name}", str(value)]
        before, busy = [it.cpu_s() for it in servers], busy_s()
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        bound = within_s or seconds + warm + others.get("drain", 1) + 120
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=bound, check=False)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{what}: the load did not end within {bound:.0f} s") from late
        if done.returncode != 0:
            raise Failed(f"{what}: {done.stderr.strip()}")
        took = time.perf_counter() - began
        seen = json.loads(done.stdout)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen["generator_cores"] = (now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime) / took
        seen["server_cores"] = sum(it.cpu_s() - cpu for it, cpu in zip(servers, before)) / took
        # the kernel's work for all of them, the processes of a database, and those who have nothing to do with this
        seen["other_cores"] = (busy_s() - busy) / took - seen["generator_cores"] - seen["server_cores"]
        seen["what"] = what
        self.raw.append(seen)
        if seen["first_other"]:
            self.say(f"{what}: an answer that is neither 2xx nor 503: {seen['first_other'][:300]}")
        return seen

    # --- servers

    def bare(self):
        """The handler that stores nothing."""
        port = free_port()
        return Server("bare", [self.tool("bare"), str(port)], port, self.new_folder())

    def plant(self):
        """What remedies act on."""
        port = free_port()
        return Server("plant", [self.tool("plant"), str(port)], port, self.new_folder())

    def quell(self, **files):
        """quell with these files, on SQLite if they say nothing else."""
        folder, port = self.new_folder(), free_port()
        config = settings.write(folder, port, **files)
        return self.serve(config, port, folder)

    def serve(self, config, port, folder):
        """quell with files that are there already."""
        argv = [self.quell_binary, "serve", "--config", config]
        env = {name: value for name, value in os.environ.items() if not name.startswith("QUELL_")}
        return Server("quell", argv, port, folder, ready="/health/ready", env=env)

    def replicas(self, count, **files):
        """So many of them on a new database of PostgreSQL."""
        storage, key = self.database(), os.path.join(self.new_folder(), "audit.key")
        subprocess.run([self.quell_binary, "audit", "key", "new", key], check=True, capture_output=True, timeout=60)
        more = f"link_key: {'k' * 32}\naudit: {{ signing_key: \"${{file:{key}}}\" }}\n"
        servers = []
        try:
            for _ in range(count):
                servers.append(self.quell(storage=storage, more=more, **files))
        except BaseException:
            stop_all(servers)
            raise
        return servers

    def database(self):
        """URL of a new database of a PostgreSQL that keeps what it is told: durability is on."""
        if self._postgres is None:
            env = dict(os.environ, QUELL_POSTGRES_DURABLE="1", TMPDIR=self.folder)
            env.pop("QUELL_TEST_POSTGRES", None)
            # PostgreSQL runs as a user of its own, who has to get at its folder
            os.chmod(self.folder, 0o755)
            script = os.path.join(REPOSITORY, "tests", "postgres.sh")
            self._postgres_owner = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL)
            done = subprocess.run(
                [script, str(self._postgres_owner.pid)], env=env, capture_output=True, text=True, timeout=120, check=False
            )
            if done.returncode != 0:
                raise Failed(done.stderr.strip() or "PostgreSQL did not start")
            self._postgres = done.stdout.strip()
        self._databases += 1
        name = f"bench_{self._databases}"
        psql = ["psql", "--no-psqlrc", "--quiet", "--dbname", self._postgres, "--command", f"CREATE DATABASE {name}"]
        subprocess.run(psql, check=True, capture_output=True, timeout=60)
        return self._postgres.rsplit("/", 1)[0] + "/" + name

    def webhook(self, marks=0):
        """adnanh/webhook; None when it is not installed."""
        binary = shutil.which("webhook")
        if binary is None:
            return None
        firing = {"match": {"type": "value", "value": "firing", "parameter": {"source": "payload", "name": "status"}}}

        def named(name):
            parameter = {"source": "payload", "name": "commonLabels.alertname"}
            return {"and": [firing, {"match": {"type": "value", "value": name, "parameter": parameter}}]}

        sent = {"source": "payload", "name": "alerts.0.annotations.sent"}
        port_of_marks = {"source": "string", "name": str(marks)}
        hooks = [
            {"id": "runs", "execute-command": "/bin/true", "trigger-rule": named("HighRequestLatency")},
            {"id": "other", "execute-command": "/bin/true", "trigger-rule": named("NeverThisOne")},
            {"id": "mark", "execute-command": self.tool("mark"), "trigger-rule": firing,
             "pass-arguments-to-command": [sent, port_of_marks]},
        ]
        folder, port = self.new_folder(), free_port()
        with open(os.path.join(folder, "hooks.json"), "w", encoding="utf-8") as file:
            json.dump(hooks, file)
        argv = [binary, "-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", str(port)]
        return Server("webhook", argv, port, folder)

    def alertmanager(self):
        """Alertmanager, which tells nobody; None when it is not installed."""
        binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        if binary is None:
            return None
        folder, port = self.new_folder(), free_port()
        with open(os.path.join(folder, "alertmanager.yml"), "w", encoding="utf-8") as file:
            file.write("route: { receiver: nobody, group_by: [alertname] }\nreceivers: [{ name: nobody }]\n")
        argv = [binary, "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        return Server("alertmanager", argv, port, folder, ready="/-/ready")


def stop_all(servers):
    """Ends them; what they stored is not wanted."""
    for server in servers:
        server.__exit__()
