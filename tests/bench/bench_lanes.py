"""
What one lane's trouble costs the others, and what a full spool costs: `lanes` and `spool` of ./dev bench.

lanes   A run with two live outputs, files and an HTTP collector, beside a third one that is dead, or slow. First at full speed: a
        log that is there, against a file output in the third one's place. Then the highest rate at which a log can grow and
        be delivered; and at half of it, block by block, each block ending in four marked events (one a class): how long each
        mark takes from its write to each live output, and how much arrives, against nothing in the third one's place, which
        is measured before and after the others of a round. What the disk and the cores take by themselves is told by a program
        that only writes as many bytes and syncs them ten times a second (`bare writer`), beside nothing in the third one's place.
spool   Every lane dead: 10 GiB on disk, the memory that took, and how long the next start takes until the first event is safe.
"""
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

LOWER = ('admin_activity', 'admin_read', 'data_read', 'data_write')
BLOCK_S = 0.01
START_S = 1         # what a dead output costs once, at the start, is not in the delays
AHEAD = 64 << 20    # how far an unpaced writer runs ahead
FAST_BLOCK = 4 << 20
HEAD = """\
cluster: bench
state_dir: state
redact: off
shutdown_wait: 100ms
inputs:
  log: {{ type: file, path: live.log }}
outputs:
  archive: {{ type: file, path: 'archive/{{class}}.ndjson' }}
  live: {{ type: http, url: '{url}/{{class}}', format: ndjson, batch_bytes: 1MB, batch_events: 100000, batch_wait: 10ms }}
"""
DEAD = {
    'nothing': '',
    'refused': "  dead: { type: http, url: 'http://127.0.0.1:1/', spool: { max: 16GiB } }\n",
    'silent': "  dead: { type: http, url: 'http://127.0.0.1:SILENT/', spool: { max: 16GiB } }\n",
    'slow': "  dead: { type: http, url: 'http://127.0.0.1:SLOW/', batch_events: 25, spool: { max: 16GiB } }\n",
    'no broker': "  dead: { type: kafka, brokers: ['127.0.0.1:1'], topic: 't.{class}', spool: { max: 16GiB } }\n",
}
NOTHING, BARE = 'nothing', 'bare writer'
FILE = "  other: { type: file, path: 'other/{class}.ndjson' }\n"
REQUESTS = (('create', 'pods', ''), ('list', 'pods', ''), ('get', 'pods', 'log'), ('update', 'pods', 'status'))


class Failed(Exception):
    """It did not do its work."""


def marks(number):
    """One event of each class, by whose auditID its way is followed."""
    return b''.join(
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"mark-%d-%d","stage":"ResponseComplete",'
        b'"requestURI":"/api/v1/namespaces/x/pods/x","verb":"%s","user":{"username":"bench"},"objectRef":{"resource":"%s",'
        b'"namespace":"x","name":"x","apiVersion":"v1","subresource":"%s"}}\n'
        % (number, i, verb.encode(), resource.encode(), sub.encode()) for i, (verb, resource, sub) in enumerate(REQUESTS))


def blocks(log, size):
    """The log over and over in blocks of about this size, whole lines each."""
    while True:
        at = 0
        while at < len(log):
            end = log.find(b'\n', min(at + size, len(log) - 1)) + 1 or len(log)
            yield log[at:end]
            at = end


@contextlib.contextmanager
def sink(program, path):
    process = subprocess.Popen([program, '--port', '0', '--marks', path], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1].rstrip('/')
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def silent_port():
    """Takes connections and never says a word."""
    with socket.create_server(('127.0.0.1', 0), backlog=128) as server:
        kept = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in kept:
            connection.close()


def answer_slowly(connection):
    """One connection of a collector that takes twenty milliseconds a request."""
    with contextlib.suppress(OSError, TypeError), connection, connection.makefile('rb') as stream:
        while (line := stream.readline()):
            if line.lower().startswith(b'content-length:'):
                length = int(line.split(b':')[1])
            elif line == b'\r\n':
                stream.read(length)
                time.sleep(0.02)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')


@contextlib.contextmanager
def slow_port():
    with socket.create_server(('127.0.0.1', 0), backlog=128) as server:
        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer_slowly, args=(server.accept()[0],), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


class Run:
    """The program in a new folder with a log that is still to be written, two live outputs and perhaps a third."""

    def __init__(self, bench, folder, other):
        self.folder, self.other, self.bench = folder, other, bench

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / 'archive').mkdir(parents=True)
        self.log = open(self.folder / 'live.log', 'wb', buffering=0)
        url = self.stack.enter_context(sink(self.bench.need('http_sink'), self.folder / 'marks'))
        silent, slow = self.stack.enter_context(silent_port()), self.stack.enter_context(slow_port())
        config = self.folder / 'audit-router.yaml'
        config.write_text(HEAD.format(url=url) + self.other.replace('SILENT', str(silent)).replace('SLOW', str(slow)))
        self.stderr = self.stack.enter_context(open(self.folder / 'stderr', 'wb'))
        return self

    def start(self):
        self.process = subprocess.Popen([self.bench.ROUTER, 'run', '-c', 'audit-router.yaml'], cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stderr=self.stderr)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stack.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sizes(self):
        sizes = []
        for name in LOWER:
            try:
                sizes.append(os.stat(self.folder / 'archive' / f'{name}.ndjson').st_size)
            except FileNotFoundError:
                sizes.append(0)
        return sizes

    def collected(self):
        """The marks that the collector has: name -> when, in seconds."""
        rows = (line.split() for line in (self.folder / 'marks').read_text().splitlines())
        return {row[0]: int(row[1]) / 1e9 for row in rows if len(row) == 2}

    def memory(self):
        return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path(f'/proc/{self.process.pid}/status').read_text())[1]) / 1024

    def wait_all(self, written, last, seconds):
        """Until both live outputs have it all: the time of the later one."""
        until = time.monotonic() + seconds
        wanted = {f'{last}-{i}' for i in range(len(REQUESTS))}
        while sum(self.sizes()) < written:
            if time.monotonic() > until or self.process.poll() is not None:
                raise Failed(f'the files hold {sum(self.sizes())} bytes of {written}')
            time.sleep(0.002)
        at = time.monotonic()
        while not wanted <= self.collected().keys():
            if time.monotonic() > until:
                raise Failed('not all has arrived at the collector')
            time.sleep(0.02)
        there = self.collected()
        return max(at, *(there[name] for name in wanted))

    def spooled(self):
        return sum(p.stat().st_size for p in (self.folder / 'state').rglob('*') if 'spool' in p.parts and p.is_file())


def full_speed(bench, options, other):
    """Seconds from the start until the live outputs have all of the log."""
    with Run(bench, options.folder / 'lanes', other) as r:
        with open(options.log, 'rb') as log:
            shutil.copyfileobj(log, r.log, 1 << 20)
        r.log.write(marks(0))
        os.sync()
        start = time.monotonic()
        r.start()
        seconds = r.wait_all(os.fstat(r.log.fileno()).st_size, 0, 90) - start
        return {'wall_s': seconds, 'rss_mib': r.memory(), 'spooled': r.spooled()}


def write_paced(r, log, rate, seconds):
    """Blocks at this rate (None: as fast as it goes). When each was written, how far the files were all the while, and how many bytes that were."""
    times, samples, written = [], [], 0
    start = time.monotonic()
    source = blocks(log, int(rate * BLOCK_S) if rate else FAST_BLOCK)
    while (now := time.monotonic()) < start + seconds:
        samples.append((now, r.sizes()))
        if not rate and written - sum(samples[-1][1]) > AHEAD:
            time.sleep(0.001)
            continue
        if rate and now < start + len(times) * BLOCK_S:
            time.sleep(0.001)
            continue
        text = next(source) + marks(len(times))
        times.append(time.monotonic())
        r.log.write(text)
        written += len(text)
    return times, samples, written


def offsets_of_marks(path):
    """Where in the file each mark's line ends: block number -> offset."""
    found, at = {}, 0
    sign = b'"auditID":"mark-'
    text = path.read_bytes()
    while (at := text.find(sign, at)) >= 0:
        at += len(sign)
        found[int(text[at:text.index(b'-', at)])] = text.index(b'\n', at) + 1
    return found


def file_delays(r, times, samples, first):
    delays = []
    for i, name in enumerate(LOWER):
        at = 0
        for number, offset in sorted(offsets_of_marks(r.folder / 'archive' / f'{name}.ndjson').items()):
            while at < len(samples) and samples[at][1][i] < offset:
                at += 1
            if number >= first and at < len(samples):
                delays.append(samples[at][0] - times[number])
    return delays


def quantiles(delays):
    delays = sorted(delays)
    return {'median_ms': 1e3 * statistics.median(delays), 'p99_ms': 1e3 * delays[int(len(delays) * 0.99)], 'n': len(delays)}


def write_bare(path, rate):
    """As many bytes as a dead lane would write, with as many syncs, until it is killed."""
    block = b'x' * int(rate * BLOCK_S)
    with open(path, 'wb', buffering=0) as out:
        def sync():
            while True:
                time.sleep(0.1)
                os.fdatasync(out.fileno())
        threading.Thread(target=sync, daemon=True).start()
        start, n = time.monotonic(), 0
        while True:
            out.write(block)
            n += 1
            time.sleep(max(0, start + n * BLOCK_S - time.monotonic()))


@contextlib.contextmanager
def bare_writer(path, rate):
    process = subprocess.Popen([sys.executable, __file__, path, str(rate)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def paced(bench, options, name, rate, log):
    """At this rate for a while: delays at both live outputs, after the first fifth and second, and the rate at which all arrived."""
    with Run(bench, options.folder / 'lanes', DEAD.get(name, '')) as r, \
            bare_writer(r.folder / 'bare', rate) if name == BARE else contextlib.nullcontext():
        r.start()
        start = time.monotonic()
        times, samples, written = write_paced(r, log, rate, options.seconds)
        more = []
        stop = threading.Event()

        def sample():
            while not stop.is_set():
                more.append((time.monotonic(), r.sizes()))
                time.sleep(0.001)
        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            end = r.wait_all(written, len(times) - 1, 60)
        finally:
            stop.set()
            sampler.join()
        first = max(len(times) // 5, round(START_S / BLOCK_S)) if rate else 0
        there = r.collected()
        http_ = [there[f'{n}-{i}'] - times[n] for n in range(first, len(times)) for i in range(len(REQUESTS)) if f'{n}-{i}' in there]
        return {'bytes_per_s': written / (end - start), 'file': quantiles(file_delays(r, times, samples + more, first)),
                'http': quantiles(http_), 'rss_mib': r.memory(), 'spooled': r.spooled()}


def middle(rounds):
    """The medians of the rounds, number by number."""
    if isinstance(rounds[0], dict):
        return {key: middle([one[key] for one in rounds]) for key in rounds[0]}
    return statistics.median(rounds)


DELAYS = [(out, quantile) for out in ('file', 'http') for quantile in ('median_ms', 'p99_ms')]


def to_nothing(rounds, nothing):
    """
    Of each number the ratio to nothing beside it, in the middle of the rounds, the lowest and the highest. `nothing` has two runs a
    round: the first and the last.
    """
    def of(value):
        ratios = [2 * value(one) / (value(nothing[2 * i]) + value(nothing[2 * i + 1])) for i, one in enumerate(rounds)]
        return [statistics.median(ratios), min(ratios), max(ratios)]
    return {'throughput': of(lambda one: one['bytes_per_s']),
            **{f'{out}_{quantile[:-3]}': of(lambda one, o=out, q=quantile: one[o][q]) for out, quantile in DELAYS}}


def print_half(rate, name, one, ratios):
    def said(key):
        return '{:.2f} ({:.2f}-{:.2f})'.format(*ratios[key])
    print(f'  {rate / 1e6:.0f} MB/s, beside {name:12}{one["bytes_per_s"] / 1e6:5.0f} MB/s x {ratios["throughput"][0]:.2f}  '
          + '  '.join(f'{out} {"median" if quantile == "median_ms" else "99 %"} {one[out][quantile]:.1f} ms x {said(f"{out}_{quantile[:-3]}")}'
                      for out, quantile in DELAYS) + f'  {one["rss_mib"]:.0f} MiB', flush=True)


def half_rate(bench, options, rate, log):
    taken = {name: [] for name in (*DEAD, BARE)}
    for _ in range(options.rounds):
        for name in (*taken, NOTHING):
            taken[name].append(paced(bench, options, name, rate, log))
    result, nothing = {}, taken.pop(NOTHING)
    again = to_nothing(nothing[1::2], [one for one in nothing[::2] for _ in range(2)])
    result[NOTHING] = {**middle(nothing), 'to_nothing': again}
    print_half(rate, NOTHING, result[NOTHING], again)
    for name, rounds in taken.items():
        ratios = to_nothing(rounds, nothing)
        result[name] = {**middle(rounds), 'to_nothing': ratios}
        print_half(rate, name, result[name], ratios)
    return result


def at_full_speed(bench, options):
    kinds = {'a file output': FILE, **DEAD}
    taken = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, other in kinds.items():
            taken[name].append(full_speed(bench, options, other))
    size, result = options.log.stat().st_size, {}
    files = [one['wall_s'] for one in taken['a file output']]
    for name, rounds in taken.items():
        ratios = [one['wall_s'] / base for one, base in zip(rounds, files)]
        one = result[name] = {'best_s': min(r['wall_s'] for r in rounds), **middle(rounds),
                              'to_file': [statistics.median(ratios), min(ratios), max(ratios)]}
        print(f'  full speed, beside {name:14}{one["wall_s"]:7.2f} s  {size / one["wall_s"] / 1e6:6.0f} MB/s  {one["rss_mib"]:5.0f} MiB  '
              f'spooled {one["spooled"] / 1e6:6.0f} MB  x {"{:.2f} ({:.2f}-{:.2f})".format(*one["to_file"])} of a file output in its place',
              flush=True)
    return result


def lanes(bench, options):
    result = {'full_speed': at_full_speed(bench, options)}
    log = options.log_small.read_bytes()
    fastest = statistics.median(paced(bench, options, NOTHING, None, log)['bytes_per_s'] for _ in range(3))
    result['highest_bytes_per_s'] = fastest
    print(f'  highest rate, written while it is read: {fastest / 1e6:.0f} MB/s (the middle of three)', flush=True)
    result['half_rate'] = half_rate(bench, options, fastest / 2, log)
    print('  ratios: the middle of the rounds, the lowest and the highest; of nothing to itself, the last run to the first one of a round')
    print('  goal: at half the rate all within 10 % of nothing beside them; at full speed no slower than a file output in its place')
    return result


# ---- spool ----

SPOOL = """\
cluster: bench
state_dir: state
redact: off
shutdown_wait: 100ms
memory_max: 32MiB
inputs:
  pipe: {{ type: stdin }}
  hook: {{ type: webhook, listen: '127.0.0.1:{port}' }}
outputs:
  dead: {{ type: http, url: 'http://127.0.0.1:1/', format: ndjson, spool: {{ max: 64GiB }} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def memory_of(process):
    return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path(f'/proc/{process.pid}/status').read_text())[1]) / 1024


def read_by(process):
    text = pathlib.Path(f'/proc/{process.pid}/io').read_text()
    return int(re.search(r'rchar: (\d+)', text)[1])


def first_answer(port, process, start):
    """Seconds from `start` until an event that is posted has its 200: it lies fsynced behind all that the spool holds."""
    while True:
        try:
            c = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
            c.request('POST', '/', b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + marks(0).splitlines()[0] + b']}',
                      {'Content-Type': 'application/json'})
            status = c.getresponse().status
            c.close()
            if status != 200:
                raise Failed(f'the webhook answered {status}')
            return time.monotonic() - start
        except ConnectionError:
            if process.poll() is not None:
                raise Failed('it has ended') from None
            time.sleep(0.005)


def fill(process, log, bytes_wanted):
    start, written = time.monotonic(), 0
    while written < bytes_wanted:
        process.stdin.write(log)
        written += len(log)
    process.stdin.flush()
    return written, time.monotonic() - start


def end(process):
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return time.monotonic() - start


def spool(bench, options):
    folder = options.folder / 'spool'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wanted = options.spool_bytes
    if shutil.disk_usage(folder).free < 2 * wanted:
        raise bench.Skip(f'not {2 * wanted >> 30} GiB free on the disk of {folder}')
    port = free_port()
    (folder / 'audit-router.yaml').write_text(SPOOL.format(port=port))
    log = options.log_small.read_bytes()
    command = [bench.ROUTER, 'run', '-c', 'audit-router.yaml']
    try:
        with open(folder / 'stderr', 'wb') as stderr:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stderr=stderr)
            written, seconds = fill(process, log, wanted)
            result = {'spooled_bytes': written, 'fill_mb_per_s': written / seconds / 1e6, 'rss_mib': memory_of(process)}
            result['end_s'] = end(process)
            process.stdin.close()
            held = sum(p.stat().st_size for p in (folder / 'state' / 'spool').rglob('*') if p.is_file())
            start = time.monotonic()
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stderr=stderr)
            result['restart_to_first_200_s'] = first_answer(port, process, start)
            result.update(restart_read_mib=read_by(process) / (1 << 20), restart_rss_mib=memory_of(process), held_bytes=held)
            end(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    print(f'  {held / (1 << 30):.1f} GiB spooled at {result["fill_mb_per_s"]:.0f} MB/s, all lanes dead: at most {result["rss_mib"]:.0f} MiB in memory '
          f'(memory_max 32 MiB); the next start had an event safe and answered after {result["restart_to_first_200_s"]:.2f} s, '
          f'{result["restart_read_mib"]:.1f} MiB read, {result["restart_rss_mib"]:.0f} MiB in memory')
    print('  goal: memory within memory_max and what router/README.md adds to it; start under 1 s')
    if held < wanted:
        raise Failed(f'{held} bytes spooled of {wanted}')
    return result


if __name__ == '__main__':
    write_bare(sys.argv[1], float(sys.argv[2]))
