"""Record real programs, check and replay what was recorded, and print a line for each.

    programs.py MMREPLAY WORKLOADS TOP [--rounds N] [NAME…]

Every program runs unrecorded and recorded in turn, N rounds; the slowdown is the median of the paired ratios of the time
of its work (start to end; for servers, of the client's work). Programs that fork are recorded with --follow. The last
recording is checked, and replayed on system and jemalloc. Programs that are not installed are said to be missing.
"""
import argparse
import glob
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


class Missing(Exception):
    """The program is not here."""


class Failed(Exception):
    """Something that should work did not."""


def need(name, *places):
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *places]))
    if not found:
        raise Missing(f"no {name} here")
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, **options):
    done = subprocess.run(command, **{**QUIET, **options})
    if done.returncode:
        raise Failed(f"{os.path.basename(command[0])} ended with {done.returncode}")


class Program:
    """A command; its own running time is what is measured."""

    follows = False

    def __init__(self, scratch, here):
        self.scratch, self.workloads, self.top = scratch, here.workloads, here.top
        self.command = self.prepare()

    def environment(self):
        return {**os.environ, "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0", "LC_ALL": "C.UTF-8"}

    def time(self, prefix):
        start = time.perf_counter()
        run(prefix + self.command, cwd=self.scratch, env=self.environment())
        return time.perf_counter() - start


class Git(Program):
    def prepare(self):
        run([need("git"), "clone", "-q", "--no-local", self.top, "history"], cwd=self.scratch)
        return ["git", "-C", "history", "log", "-p", "-m", "-W", "--stat", "-C", "-n", "150"]


class Cc1(Program):
    def prepare(self):
        gcc = need("gcc")
        with open(f"{self.scratch}/pool.c", "w") as out:
            out.writelines(f'#include "{name}"\n' for name in sorted(glob.glob(f"{self.top}/core/pool*.c")))
        run([gcc, "-E", "-P", "-D_GNU_SOURCE", f"-I{self.top}", "pool.c", "-o", "pool.i"], cwd=self.scratch)
        cc1 = subprocess.run([gcc, "-print-prog-name=cc1"], capture_output=True, text=True).stdout.strip()
        return [cc1, "-quiet", "-O2", "pool.i", "-o", "/dev/null"]


class Perl(Program):
    def prepare(self):
        return [need("perl"), f"{self.workloads}/text_work.pl", "50"]


class Sqlite3(Program):
    def prepare(self):
        with open(f"{self.scratch}/shop.sql", "w") as out:
            run(["/usr/bin/python3", f"{self.workloads}/shop_sql.py"], stdout=out)
        return [need("sqlite3"), ":memory:", ".read shop.sql"]


class Node(Program):
    SCRIPT = """
        const rows = [];
        for (let i = 0; i < 60000; i++)
            rows.push({id: i, name: 'name ' + i, tags: ['a' + i % 7, 'b' + i % 11], at: new Date(i * 1e6).toISOString()});
        const buffers = [];
        for (let i = 0; i < 40; i++) {
            const text = JSON.stringify(rows);
            buffers.push(Buffer.from(text).subarray(0, 1000), require('zlib').gzipSync(text.slice(0, 200000)));
            JSON.parse(text).filter(row => /9$/.test(row.name)).length;
        }
    """

    def prepare(self):
        return [need("node"), "-e", self.SCRIPT]


class Python(Program):
    script = "python_batch.py"

    def prepare(self):
        return [need("python3", "/usr/bin") if not os.path.exists("/usr/bin/python3") else "/usr/bin/python3",
                f"{self.workloads}/{self.script}"]


class PythonThreads(Python):
    def prepare(self):
        with open(f"{self.scratch}/threads.py", "w") as out:
            out.write(
                "import ast, glob, json, os, queue, threading\n"
                "files = sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), '*.py')))[:40]\n"
                "todo, done = queue.Queue(), queue.Queue()\n"
                "def parse():\n"
                "    while (name := todo.get()):\n"
                "        with open(name, encoding='utf-8', errors='replace') as file:\n"
                "            done.put((name, ast.parse(file.read())))\n"
                "def index():\n"
                "    for _ in files:\n"
                "        name, tree = done.get()\n"
                "        json.dumps([ast.dump(node)[:200] for node in ast.walk(tree) if isinstance(node, ast.Call)])\n"
                "threads = [threading.Thread(target=parse) for _ in range(4)] + [threading.Thread(target=index)]\n"
                "for thread in threads: thread.start()\n"
                "for name in files: todo.put(name)\n"
                "for _ in range(4): todo.put(None)\n"
                "for thread in threads: thread.join()\n")
        return ["/usr/bin/python3", "threads.py"]


class Server(Program):
    """A server on loopback; the time of a client's work is what is measured."""

    def start(self, prefix):
        self.process = subprocess.Popen(prefix + self.command, cwd=self.scratch, env=self.environment(), **QUIET)

    def wait_until_up(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise Failed("the server ended at once") from None
                time.sleep(0.05)
        raise Failed("the server does not answer")

    def time(self, prefix):
        self.start(prefix)
        try:
            self.wait_until_up()
            start = time.perf_counter()
            self.work()
            return time.perf_counter() - start
        finally:
            if self.process.poll() is None:
                try:
                    self.stop()
                except FileNotFoundError:  # it is not up, and will not be
                    self.process.terminate()
            self.process.wait(timeout=60)

    def stop(self):
        os.kill(int(open(self.pid_file).read().split()[0]), signal.SIGTERM)


class Redis(Server):
    def prepare(self):
        self.port = free_port()
        self.client = need("redis-benchmark")
        self.pid_file = f"{self.scratch}/redis.pid"
        return [need("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                "no", "--pidfile", self.pid_file, "--daemonize", "no"]

    def work(self):
        run([self.client, "-p", str(self.port), "-q", "-n", "30000", "-r", "20000", "-d", "64", "-t",
             "set,get,incr,lpush,lpop,sadd,hset,zadd"])


class Nginx(Server):
    follows = True

    def prepare(self):
        self.port = free_port()
        self.client = need("ab")
        self.pid_file = f"{self.scratch}/nginx.pid"
        os.makedirs(f"{self.scratch}/www", exist_ok=True)
        with open(f"{self.scratch}/www/index.html", "w") as page:
            page.write("<p>" + "the quick brown fox " * 800 + "</p>\n")
        with open(f"{self.scratch}/nginx.conf", "w") as out:
            out.write(
                f"daemon off; master_process on; worker_processes 2; pid {self.pid_file}; error_log /dev/null;\n"
                "events { worker_connections 256; }\n"
                f"http {{ access_log off; gzip on; gzip_types text/html; client_body_temp_path {self.scratch}/b;\n"
                f"proxy_temp_path {self.scratch}/p; fastcgi_temp_path {self.scratch}/f; uwsgi_temp_path "
                f"{self.scratch}/u; scgi_temp_path {self.scratch}/s;\n"
                f"server {{ listen 127.0.0.1:{self.port}; root {self.scratch}/www; autoindex on; ssi on; }} }}\n")
        os.chmod(self.scratch, 0o755)
        return [need("nginx"), "-p", self.scratch, "-c", f"{self.scratch}/nginx.conf"]

    def work(self):
        run([self.client, "-q", "-n", "20000", "-c", "16", "-H", "Accept-Encoding: gzip",
             f"http://127.0.0.1:{self.port}/index.html"])


class Postgres(Server):
    """It refuses to run as root: then everything of it runs as the user postgres."""

    follows = True

    def prepare(self):
        places = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:]
        self.port = free_port()
        self.pid_file = f"{self.scratch}/data/postmaster.pid"
        self.become = []
        if os.geteuid() == 0:
            import pwd
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Missing("no user postgres here") from None
            os.chown(self.scratch, user.pw_uid, user.pw_gid)
            self.become = [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.client = need("pgbench", *places)
        run(self.become + [need("initdb", *places), "-D", f"{self.scratch}/data", "-A", "trust", "--no-sync"],
            cwd=self.scratch)
        return [need("postgres", *places), "-D", f"{self.scratch}/data", "-p", str(self.port), "-k", self.scratch, "-c",
                "fsync=off", "-c", "listen_addresses=127.0.0.1"]

    def start(self, prefix):
        # the tool, too, is that user then, and writes where that user may
        super().start(self.become + prefix)

    def work(self):
        base = self.become + [self.client, "-h", "127.0.0.1", "-p", str(self.port), "postgres"]
        run(base + ["-i", "-q"], cwd=self.scratch)
        run(base + ["-c", "4", "-t", "250"], cwd=self.scratch)

    def stop(self):
        os.kill(int(open(self.pid_file).read().split()[0]), signal.SIGINT)  # fast shutdown


PROGRAMS = {
    "redis": Redis, "nginx": Nginx, "sqlite3": Sqlite3, "git": Git, "cc1": Cc1, "perl": Perl, "node": Node,
    "postgres": Postgres, "python": Python, "python, threads": PythonThreads,
}


def traces_of(path):
    """The recording at `path`: its traces. A process tree has one for each process that made events."""
    stem = path[: -len(".yaml")]
    tree = sorted(glob.glob(glob.escape(stem) + ".[0-9]*.yaml"))
    return tree or [path]


def facts_of(mmreplay, traces):
    """What the descriptions of traces say, summed up."""
    done = subprocess.run([mmreplay, "info", "--summary", "--json", "-", *traces], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"info: {done.stderr.strip()}")
    stated = json.loads(done.stdout)["traces"]
    return {
        "events": sum(trace["summary"]["events"] for trace in stated),
        "bytes": sum(trace["events"]["bytes"] for trace in stated),
        "lost": sum(trace["capture"]["lost_count"] for trace in stated),
        "refused": sum(trace["capture"]["refused_count"] for trace in stated),
        "largest": max(stated, key=lambda trace: trace["summary"]["events"])["path"],
    }


def measure(here, name, make, rounds):
    scratch = tempfile.mkdtemp(prefix="mmreplay-programs-")
    try:
        program = make(scratch, here)
        path = f"{scratch}/trace.yaml"
        prefix = [here.mmreplay, "record", "-o", path] + (["--follow"] if program.follows else []) + ["--"]
        ratios, recorded_seconds = [], []
        for _ in range(rounds):
            bare = program.time([])
            for old in glob.glob(f"{scratch}/trace.*"):
                os.unlink(old)
            recorded_seconds.append(program.time(prefix))
            ratios.append(recorded_seconds[-1] / bare)
        traces = traces_of(path)
        run([here.mmreplay, "check", *traces], stderr=None)
        facts = facts_of(here.mmreplay, traces)
        missing = [f"{facts[key]:,} {words}" for key, words in
                   (("lost", "events lost"), ("refused", "requests refused")) if facts[key]]
        run([here.mmreplay, "replay", "-n", "1", "--memory-rounds", "1", "-a", "system,jemalloc", facts["largest"]])
        print(f"  {name:16} {len(traces):5} {facts['events']:12,} "
              f"{facts['events'] / statistics.median(recorded_seconds):12,.0f} {statistics.median(ratios):8.2f} "
              f"[{min(ratios):5.2f},{max(ratios):5.2f}] {facts['bytes'] / facts['events']:8.3f}   "
              f"{'; '.join(missing) or 'nothing'}", flush=True)
        return True
    except Missing as reason:
        print(f"  {name:16} not tried: {reason}", flush=True)
        return True
    except (Failed, OSError, subprocess.TimeoutExpired) as reason:
        print(f"  {name:16} FAILED: {reason}", flush=True)
        return False
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mmreplay")
    parser.add_argument("workloads")
    parser.add_argument("top")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", metavar="NAME")
    here = parser.parse_intermixed_args()
    here.mmreplay, here.workloads, here.top = map(os.path.realpath, (here.mmreplay, here.workloads, here.top))
    unknown = [name for name in here.names if name not in PROGRAMS]
    if unknown or here.rounds < 1:
        parser.error(f"unknown program '{unknown[0]}'; there are: {', '.join(PROGRAMS)}" if unknown else "no rounds")
    print(f"  {'program':16} {'files':>5} {'events':>12} {'events/s':>12} {'slowdown':>8} [least, most] "
          f"{'bytes/ev':>8}   missing")
    good = [measure(here, name, PROGRAMS[name], here.rounds) for name in here.names or PROGRAMS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
