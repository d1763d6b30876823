"""
What users would take instead: `peers` of ./dev bench. The same log into four files by verb and subresource, each program with
its documented configuration for that, in turn with ours.

They are Debian's packages, fetched by name and unpacked into the work folder: nothing is installed, no service is started, and
two that Debian will not install beside each other can both be measured. None of them has an end of input: a run is over when
every byte of the log is in the files, in the page cache. None of them syncs a file: nor does ours here (`sync: never`).
"""
import os
import shutil
import signal
import subprocess
import time

POLL_S = 0.01
LIMIT_S = 300

RSYSLOG = """\
global(workDirectory="{folder}" maxMessageSize="4m")
main_queue(queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="1024")
module(load="imfile" mode="inotify")
module(load="mmjsonparse")
template(name="line" type="string" string="%msg%\\n")
ruleset(name="split") {{
  action(type="mmjsonparse" cookie="")
  if ($!objectRef!subresource == ["log", "exec", "attach", "portforward", "proxy"]) then {{
    action(type="omfile" file="{folder}/data_read" template="line" ioBufferSize="256k")
  }} else if ($!verb == ["get", "list", "watch"]) then {{
    action(type="omfile" file="{folder}/admin_read" template="line" ioBufferSize="256k")
  }} else if ($!objectRef!subresource == "status") then {{
    action(type="omfile" file="{folder}/data_write" template="line" ioBufferSize="256k")
  }} else {{
    action(type="omfile" file="{folder}/admin_activity" template="line" ioBufferSize="256k")
  }}
}}
input(type="imfile" file="{log}" tag="audit" ruleset="split" addMetadata="off" maxSubmitAtOnce="1024")
"""

SYSLOG_NG = """\
@version: {version}
options {{ log-msg-size(4194304); stats-freq(0); flush-lines(1000); }};
source audit {{
  file("{log}" follow-freq(0.1) flags(no-parse) read-old-records(yes) log-fetch-limit(1000) log-iw-size(10000));
}};
parser event {{ json-parser(prefix(".event.")); }};
template line {{ template("${{MESSAGE}}\\n"); }};
destination data_read {{ file("{folder}/data_read" template(line)); }};
destination admin_read {{ file("{folder}/admin_read" template(line)); }};
destination data_write {{ file("{folder}/data_write" template(line)); }};
destination admin_activity {{ file("{folder}/admin_activity" template(line)); }};
log {{
  source(audit);
  parser(event);
  if (match("^(log|exec|attach|portforward|proxy)$" value(".event.objectRef.subresource"))) {{ destination(data_read); }}
  elif (match("^(get|list|watch)$" value(".event.verb"))) {{ destination(admin_read); }}
  elif (match("^status$" value(".event.objectRef.subresource"))) {{ destination(data_write); }}
  else {{ destination(admin_activity); }};
}};
"""


class Peer:
    """A program out of unpacked packages: `command(root, work)` runs it in the foreground with the configuration work/peer.conf."""

    def __init__(self, name, packages, libraries, configuration, command):
        self.name, self.packages, self.libraries = name, packages, libraries
        self.configuration, self.command = configuration, command


def one(root, pattern):
    return next(root.glob(pattern))


PEERS = [
    Peer('rsyslog', ['rsyslog', 'libestr0', 'libfastjson4', 'liblognorm5'], [], RSYSLOG,
         lambda root, work: [one(root, 'usr/sbin/rsyslogd'), '-n', '-f', work / 'peer.conf', '-i', 'NONE',
                             '-M', one(root, 'usr/lib/*/rsyslog')]),
    Peer('syslog-ng', ['syslog-ng-core', 'libivykis0', 'libnet1', 'libpcre3', 'libjson-c5', 'libglib2.0-0', 'libwrap0', 'libcap2'],
         ['usr/lib/syslog-ng'], SYSLOG_NG,
         lambda root, work: [one(root, 'usr/sbin/syslog-ng'), '-F', '-f', work / 'peer.conf', '-R', work / 'persist', '--no-caps',
                             '-c', work / 'control', '-p', work / 'pid', '--module-path', one(root, 'usr/lib/syslog-ng/[0-9]*')]),
]


def unpack(bench, peer, folder):
    """The peer's packages, as this Debian has them, unpacked: the folder, and the environment that finds their libraries."""
    root = folder / peer.name / 'root'
    if not root.exists():
        packages = folder / peer.name / 'packages'
        packages.mkdir(parents=True, exist_ok=True)
        if not shutil.which('apt-get'):
            raise bench.Skip('no apt-get')
        done = subprocess.run(['apt-get', 'download', *peer.packages], cwd=packages, capture_output=True, text=True, check=False)
        if done.returncode:
            raise bench.Skip(done.stderr.strip().splitlines()[-1])
        for package in packages.iterdir():
            subprocess.run(['dpkg-deb', '-x', package, root.with_suffix('.new')], check=True)
        root.with_suffix('.new').rename(root)
    libraries = [*root.glob('usr/lib/*-linux-gnu'), *root.glob('lib/*-linux-gnu'), *(root / path for path in peer.libraries)]
    return root, {**os.environ, 'LD_LIBRARY_PATH': ':'.join(map(str, libraries))}


def arrived(work):
    return sum(path.stat().st_size for path in work.glob('*_*'))


def measure(bench, peer, folder, log):
    """One run, until all is in the files: wall and CPU seconds, and memory."""
    root, environment = unpack(bench, peer, folder)
    work, size = folder / peer.name / 'work', log.stat().st_size
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    version = one(root, 'usr/lib/syslog-ng/[0-9]*').name if peer.name == 'syslog-ng' else ''
    (work / 'peer.conf').write_text(peer.configuration.format(folder=work, log=log, version=version))
    os.sync()
    start = time.monotonic()
    with open(work / 'stderr', 'wb') as stderr:
        process = subprocess.Popen([str(c) for c in peer.command(root, work)], cwd=work, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=stderr, stderr=stderr)
    ended = 0
    while arrived(work) < size and not ended and time.monotonic() < start + LIMIT_S:
        time.sleep(POLL_S)
        ended, _, usage = os.wait4(process.pid, os.WNOHANG)
    wall = time.monotonic() - start
    if not ended:
        process.kill()
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = -signal.SIGKILL
    if arrived(work) != size:
        raise bench.Failed(f'{peer.name}: {arrived(work)} bytes arrived of {size}: {(work / "stderr").read_text()[-300:]}')
    shutil.rmtree(work)
    return {'wall_s': wall, 'cpu_s': usage.ru_utime + usage.ru_stime, 'rss_mib': usage.ru_maxrss / 1024}


def ours(bench, folder, log):
    archive = folder / 'archive'
    shutil.rmtree(archive, ignore_errors=True)
    os.sync()
    used = bench.route(folder, log, f'    type: file\n    path: {archive}/{{class}}.ndjson\n    sync: never\n')
    if sum(path.stat().st_size for path in archive.iterdir()) != log.stat().st_size:
        raise bench.Failed('ours: bytes are missing')
    shutil.rmtree(archive)
    return used


def peers(bench, options):
    folder, log = options.folder / 'peers', options.log_small
    folder.mkdir(exist_ok=True)
    rounds = {}
    for _ in range(options.rounds):
        for name, work in (*((p.name, lambda p=p: measure(bench, p, folder, log)) for p in PEERS),
                           ('ours', lambda: ours(bench, folder, log))):
            rounds.setdefault(name, []).append(work())
    result = {'bytes': log.stat().st_size, 'goal': '>= 20 x the best of them, by wall clock and by CPU'}
    for name, list_ in rounds.items():
        r = result[name] = bench.best(list_)
        print(f'  peers {name:12}{r["wall_s"]:8.2f} s best {r["median_s"]:8.2f} s median '
              f'{result["bytes"] / r["wall_s"] / 1e6:8.0f} MB/s {result["bytes"] / r["cpu_s"] / 1e6:8.0f} MB per CPU-second '
              f'{r["rss_mib"]:7.0f} MiB')
    for what, key in (('wall clock', 'wall_s'), ('CPU', 'cpu_s')):
        result[f'times_{key}'] = min(result[p.name][key] for p in PEERS) / result['ours'][key]
        print(f'  peers             ours: {result[f"times_{key}"]:.0f} x the best of them by {what}', flush=True)
    print(f'  goal: {result["goal"]}')
    return result
