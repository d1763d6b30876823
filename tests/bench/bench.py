#!/usr/bin/env python3
"""
./dev bench: ours against bare tools, on this machine, in one run.

Each comparison runs reference and ours in turn, several rounds; best and median of each count, and the ratio of the
bests. Absolutes are this machine's and this hour's: ratios count. All goes to build/bench.json too.
"""
import argparse
import contextlib
import gzip
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

import bench_lanes
import bench_peers

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / 'build'
PROGRAMS = BUILD / 'tests' / 'bench'
ROUTER = BUILD / 'audit-router'
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable

HEAD = """\
cluster: bench
state_dir: {folder}/state
redact: off
inputs:
  log: {{ type: file, path: {log} }}
outputs:
  out:
"""


LOWER = ('admin_activity', 'admin_read', 'data_read', 'data_write')


class Skip(Exception):
    """This comparison cannot be made here."""


class Failed(Exception):
    """A program ended badly, or did not do its work."""


LIMIT_S = 300    # of one run: what takes longer stands still


def run(command, own_clock=False, **more):
    """
    Runs it to its end: wall and CPU seconds, and its peak memory in MiB. With own_clock, the seconds that it prints itself:
    what it does beforehand does not count.
    """
    start = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE if own_clock else subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    watch = threading.Timer(LIMIT_S, process.kill)
    watch.start()
    stderr = process.stderr.read()
    said = process.stdout.read() if own_clock else None
    _, status, usage = os.wait4(process.pid, 0)
    watch.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.returncode:
        sys.stderr.buffer.write(stderr[-4000:])
        raise Failed(f'{pathlib.Path(str(command[0])).name} ended with {process.returncode}')
    if own_clock:
        wall = json.loads(said)['seconds']
    return {'wall_s': wall, 'cpu_s': usage.ru_utime + usage.ru_stime, 'rss_mib': usage.ru_maxrss / 1024}


def need(name):
    path = PROGRAMS / name
    if not path.exists():
        raise Skip(f'{path.relative_to(TOP)} was not built')
    return path


def route(folder, log, output):
    """Our program with this output (YAML, indented by four)."""
    shutil.rmtree(folder / 'state', ignore_errors=True)
    config = folder / 'audit-router.yaml'
    config.write_text(HEAD.format(folder=folder, log=log) + output)
    return run([ROUTER, 'run', '--once', '-c', config], cwd=folder)


def best(rounds):
    return {'wall_s': min(r['wall_s'] for r in rounds), 'median_s': statistics.median(r['wall_s'] for r in rounds),
            'cpu_s': min(r['cpu_s'] for r in rounds), 'rss_mib': max(r['rss_mib'] for r in rounds)}


def compare(options, reference, ours, clean=lambda: None):
    """Reference and ours in turn."""
    results = {'reference': [], 'ours': []}
    for _ in range(options.rounds):
        for name, work in (('reference', reference), ('ours', ours)):
            clean()
            os.sync()
            results[name].append(work())
    clean()
    return {name: best(rounds) for name, rounds in results.items()}


def report(options, name, result, goal):
    size = result.get('bytes', options.log.stat().st_size)
    reference, ours = result['reference'], result['ours']
    result['goal'] = goal
    result['ours_to_reference_wall'] = ours['wall_s'] / reference['wall_s']
    result['reference_to_ours_wall'] = reference['wall_s'] / ours['wall_s']
    for who in ('reference', 'ours'):
        r = result[who]
        r['mb_per_s'] = size / r['wall_s'] / 1e6
        print(f'  {name:18}{who:12}{r["wall_s"]:8.2f} s best {r["median_s"]:8.2f} s median {r["mb_per_s"]:8.0f} MB/s '
              f'{r["cpu_s"]:7.2f} s CPU {r["rss_mib"]:7.0f} MiB')
    print(f'  {name:18}ours takes {result["ours_to_reference_wall"]:.2f} x the reference ({1 / result["ours_to_reference_wall"]:.2f} '
          f'of its speed); goal: {goal}', flush=True)
    return result


# ---- the comparisons ----

def in_memory(options):
    """Programs that measure themselves and print a line of JSON for each measurement."""
    rows = []
    for name, arguments in (('bench_decode', [options.log_small]), ('bench_classify', [options.log_small]), ('bench_match', []),
                            ('bench_policy', [options.log_small]),
                            ('bench_redact', [options.log_small, TOP / 'config' / 'policies' / 'security.yaml']),
                            ('bench_spool', [options.folder, 256])):
        try:
            program = need(name)
        except Skip as why:
            print(f'  {name}: skipped: {why}')
            continue
        done = subprocess.run([str(a) for a in (program, *arguments)], capture_output=True, text=True, check=False, cwd=options.folder)
        if done.returncode:
            raise Failed(f'{name} ended with {done.returncode}: {done.stderr[-300:]}')
        for line in done.stdout.splitlines():
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                rows.append({'program': name, **row})
                print('  ' + '  '.join(f'{k}={v:.3f}' if isinstance(v, float) else f'{k}={v}' for k, v in rows[-1].items()))
    return rows, judge_memory(rows)


def judge_memory(rows):
    """What the measurements are to each other."""
    speed = {row['what']: row['gb_per_s'] for row in rows if 'what' in row and 'gb_per_s' in row}
    ours, result = speed.get('decode and classify'), {}
    if ours and speed.get('jansson'):
        result = {'gb_per_s': ours, 'of_memcpy': ours / speed['memcpy'], 'to_jansson': ours / speed['jansson']}
        print(f'  memory            decode and classify: {ours:.2f} GB/s, {result["of_memcpy"]:.2f} of memcpy, '
              f'{result["to_jansson"]:.0f} x jansson; goal: >= 1.2 GB/s or >= 0.12 of memcpy, and >= 20 x jansson')
    ratios = {row['what']: row['of_plain'] for row in rows if 'what' in row and 'of_plain' in row}
    if ratios:
        result['policy_and_redaction_of_plain'] = ratios['policy and redaction']
        print(f'  memory            policy and redaction of events without bodies: {ratios["policy and redaction"]:.2f} of plain; '
              'goal: >= 0.7')
    return result


def to_files(options):
    folder = options.folder
    copy, archive = folder / 'copy', folder / 'archive'

    def clean():
        copy.unlink(missing_ok=True)
        shutil.rmtree(archive, ignore_errors=True)

    def reference():
        return run(['/bin/sh', '-c', 'cat "$1" > "$2" && sync "$2"', 'sh', options.log, copy])

    def ours():
        used = route(folder, options.log, f'    type: file\n    path: {archive}/{{class}}.ndjson\n')
        arrived = sum(path.stat().st_size for path in archive.iterdir())
        if arrived != options.log.stat().st_size:
            raise Failed(f'{arrived} bytes arrived of {options.log.stat().st_size}')
        return used

    return compare(options, reference, ours, clean), '<= 2.5 x, RSS <= 64 MiB'


def plan(options):
    """What a bare loop needs to know of the log to send what the router sends."""
    path = options.folder / 'plan'
    subprocess.run([need('bench_plan'), options.log, path], check=True)
    return path


def to_http(options):
    bare, sink, lines = need('bench_http_bare'), need('http_sink'), plan(options)
    process = subprocess.Popen([sink, '--port', '0'], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[-1].rstrip('/')
        output = f'    type: http\n    url: {url}/{{class}}\n    format: ndjson\n    batch_bytes: 1MB\n    batch_events: 100000\n'
        return compare(options, lambda: run([bare, url + '/bare', options.log, lines], own_clock=True),
                       lambda: route(options.folder, options.log, output)), '>= 0.8 of its speed'
    finally:
        process.terminate()
        process.wait()


def to_kafka(options):
    bare, lines = need('bench_kafka_bare'), plan(options)
    with broker(options) as (brokers, delete):
        count = [0]

        def topic():
            count[0] += 1
            return f'bench-{os.getpid()}-{count[0]}'

        def ours():
            return route(options.folder, options.log,
                         f'    type: kafka\n    brokers: [{brokers}]\n    topic: {topic()}.{{class}}\n    partitions: 1\n')

        def clean():
            names = [f'bench-{os.getpid()}-{count[0]}.{name}' for name in LOWER] if count[0] else []
            delete(names)

        return compare(options, lambda: run([bare, brokers, topic(), options.log, lines]), ours, clean), '>= 0.8 of its speed'


def from_kafka(options, exactly_once=False):
    """One topic, as agents write it, to four; both ours and the bare loop in transactions (of a smaller log), or not."""
    log = options.log_small if exactly_once else options.log
    bare = need('bench_kafka_txn_bare' if exactly_once else 'bench_kafka_loop_bare')
    more = '    exactly_once: on\n' if exactly_once else ''
    with broker(options) as (brokers, delete):
        raw, count = f'bench-{os.getpid()}-raw', [0]
        route(options.folder, log, f'    type: kafka\n    brokers: [{brokers}]\n    topic: {raw}\n    partitions: 4\n')
        with open(log, 'rb') as lines:
            events = sum(1 for _ in lines)

        def prefix():
            count[0] += 1
            return f'bench-{os.getpid()}-{count[0]}'

        def topics():
            return [f'bench-{os.getpid()}-{count[0]}.{name}' for name in (*LOWER, *(c.upper() for c in LOWER))]

        def reference():
            to = prefix()
            return run([bare, brokers, raw, to, str(events)])

        def ours():
            to = prefix()
            shutil.rmtree(options.folder / 'state', ignore_errors=True)
            config = options.folder / 'audit-router.yaml'
            config.write_text(f'cluster: bench\nstate_dir: {options.folder}/state\nredact: off\ninputs:\n  raw:\n    type: kafka\n'
                              f'    brokers: [{brokers}]\n    topics: {raw}\n    group: {to}\noutputs:\n  out:\n    type: kafka\n'
                              f'    brokers: [{brokers}]\n    topic: {to}.{{class}}\n    partitions: 1\n{more}')
            return run([ROUTER, 'run', '--once', '-c', config], cwd=options.folder)

        result = compare(options, reference, ours, lambda: delete(topics()) if count[0] else None)
        return {**result, 'bytes': log.stat().st_size}, '>= 0.8 of its speed'


def certificates(folder):
    """An authority, and a server's and a client's certificate of it."""
    def openssl(*arguments):
        subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)
    new = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
    openssl('req', '-x509', *new, '-days', '2', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca')
    (folder / 'names').write_text('subjectAltName=IP:127.0.0.1\n')
    for name in ('server', 'client'):
        openssl('req', '-new', *new, '-keyout', f'{name}.key', '-out', f'{name}.csr', '-subj', f'/CN={name}')
        openssl('x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2',
                '-out', f'{name}.pem', '-extfile', 'names')


@contextlib.contextmanager
def serving(command, folder, announces):
    """A server while it runs, and the last word of the line in which it says where."""
    with open(folder / 'server.stderr', 'wb') as stderr:
        process = subprocess.Popen([str(c) for c in command], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=stderr, text=True)
    try:
        if announces:
            yield process.stdout.readline().split()[-1], process
        else:
            time.sleep(1)
            yield None, process
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


def cpu_seconds(process):
    fields = pathlib.Path(f'/proc/{process.pid}/stat').read_text(encoding='ascii').rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def webhook_config(folder):
    ports = []
    for _ in range(2):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            ports.append(s.getsockname()[1])
    (folder / 'webhook.yaml').write_text(f"""\
cluster: bench
state_dir: {folder}/state-webhook
redact: off
inputs:
  plain: {{ type: webhook, listen: '127.0.0.1:{ports[0]}' }}
  secure: {{ type: webhook, listen: '127.0.0.1:{ports[1]}',
            tls: {{ cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem }} }}
outputs:
  out: {{ type: "null" }}
""")
    return ports


def from_webhook(options):
    """EventLists as kube-apiserver posts them, decoded and routed to nowhere, against a server that reads and forgets them."""
    bare, load, folder = need('bench_webhook_bare'), need('bench_webhook_load'), options.folder
    if not shutil.which('openssl'):
        raise Skip('no openssl')
    certificates(folder)
    bodies = []
    for packed in sorted((TOP / 'tests' / 'data' / 'webhook').glob('*.json.gz')):
        path = folder / packed.stem
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        if path.stat().st_size < 1 << 20: # the others: 400 events in about 520 KB, as most are
            bodies.append(path)
    plain, secure = webhook_config(folder)
    client = ('--ca', folder / 'ca.pem', '--cert', folder / 'client.pem', '--key', folder / 'client.key')

    def post(process, url, *more):
        before = cpu_seconds(process)
        done = subprocess.run([load, '--connections', str(options.connections), '--requests', str(options.requests), *more, url,
                               *bodies], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(done.stderr[-300:])
        return {**json.loads(done.stdout), 'server_cpu_s': cpu_seconds(process) - before}

    result = {'connections': options.connections, 'requests': options.requests}
    with serving([bare], folder, True) as (bare_port, b), \
            serving([bare, 'server.pem', 'server.key', 'ca.pem'], folder, True) as (bare_secure, s), \
            serving([ROUTER, 'run', '-c', folder / 'webhook.yaml'], folder, False) as (_, r):
        for name, reference, ours in (
                ('http', lambda: post(b, f'http://127.0.0.1:{bare_port}/'), lambda: post(r, f'http://127.0.0.1:{plain}/')),
                ('mtls', lambda: post(s, f'https://127.0.0.1:{bare_secure}/', *client),
                 lambda: post(r, f'https://127.0.0.1:{secure}/', *client))):
            rounds = [(reference(), ours()) for _ in range(options.rounds)]
            result[name] = {'reference': max((a for a, _ in rounds), key=lambda x: x['events_per_s']),
                            'ours': max((o for _, o in rounds), key=lambda x: x['events_per_s'])}
            result[name]['ours_of_reference'] = result[name]['ours']['events_per_s'] / result[name]['reference']['events_per_s']
            for who in ('reference', 'ours'):
                x = result[name][who]
                print(f'  webhook {name:10}{who:12}{x["events_per_s"]:10.0f} events/s {x["mb_per_s"]:8.0f} MB/s '
                      f'{x["server_cpu_s"]:7.2f} s CPU of the server, {options.connections} connections')
            print(f'  webhook {name:10}ours: {result[name]["ours_of_reference"]:.2f} of its speed; goal: >= 0.7', flush=True)
    return result


@contextlib.contextmanager
def broker(options):
    """A real broker and what deletes its topics: the one of --kafka, or one that the integration tests' rig starts."""
    if options.kafka:
        yield options.kafka, lambda names: None
        return
    sys.path.insert(0, str(TOP / 'tests' / 'integration'))
    import broker as rig
    if rig.missing():
        raise Skip(f'no broker: say --kafka HOST:PORT, or install {rig.missing()}')
    with rig.Broker(tier=4) as b:
        def delete(names):
            there = set(b.topics()) & set(names)
            if there:
                b.admin('delete', *there)
        yield b.bootstrap, delete


def whole(work):
    """A comparison that prints and judges by itself: tests/bench/bench_lanes.py."""
    work.whole = True
    return work


@whole
def lanes(options):
    return bench_lanes.lanes(sys.modules[__name__], options)


@whole
def spool(options):
    return bench_lanes.spool(sys.modules[__name__], options)


@whole
def peers(options):
    return bench_peers.peers(sys.modules[__name__], options)


COMPARISONS = {'memory': in_memory, 'files': to_files, 'http': to_http, 'kafka': to_kafka, 'kafka-in': from_kafka,
               'exactly-once': lambda options: from_kafka(options, exactly_once=True), 'lanes': lanes, 'spool': spool,
               'webhook': whole(from_webhook), 'peers': peers}


def generated(options, size):
    path = options.folder / f'log-{size}-{options.seed}.ndjson'
    if not path.exists():
        with open(path, 'wb') as out:
            subprocess.run([need('generate'), '--bytes', size, '--seed', str(options.seed)], stdout=out, check=True)
    return path


def machine():
    model = next((line.split(':')[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name')), '')
    return {'cpu': model or platform.processor(), 'cores': os.cpu_count(), 'kernel': platform.release()}


def main():
    parser = argparse.ArgumentParser(prog='./dev bench', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='*', metavar='|'.join(COMPARISONS), help='only these (default: all)')
    parser.add_argument('--bytes', default='1GiB', help='size of the generated log (default: %(default)s)')
    parser.add_argument('--log', type=pathlib.Path, help='this log instead of a generated one')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=4, help='of each run at half the rate, in `lanes` (default: %(default)s)')
    parser.add_argument('--spool-bytes', type=int, default=10 << 30, help='in `spool` (default: 10 GiB)')
    parser.add_argument('--connections', type=int, default=8, help='webhook: clients at once (default: %(default)s)')
    parser.add_argument('--requests', type=int, default=1500, help='webhook: bodies of 400 events a round (default: %(default)s)')
    parser.add_argument('--kafka', metavar='HOST:PORT', help='a broker that is there (its topics bench-* stay)')
    parser.add_argument('--folder', type=pathlib.Path, default=BUILD / 'bench', help='work folder (default: build/bench)')
    parser.add_argument('--json', type=pathlib.Path, default=BUILD / 'bench.json')
    options = parser.parse_args()
    unknown = set(options.what) - set(COMPARISONS)
    if unknown:
        parser.error(f'no comparison named {", ".join(unknown)}')
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    options.log = options.log.resolve() if options.log else generated(options, options.bytes)
    options.log_small = options.log if options.log.stat().st_size <= 512 << 20 else generated(options, '256MiB')
    results = {'machine': machine(), 'bytes': options.log.stat().st_size, 'rounds': options.rounds, 'results': {}}
    print(f'{results["machine"]["cores"]} x {results["machine"]["cpu"]}; {results["bytes"] / 1e6:.0f} MB of log, '
          f'{options.rounds} rounds, load {os.getloadavg()[0]:.1f}')
    failed = False
    for name in options.what or COMPARISONS:
        print(f'{name}:', flush=True)
        try:
            if name == 'memory':
                rows, ratios = in_memory(options)
                results['results'][name] = {'rows': rows, **ratios}
            elif hasattr(COMPARISONS[name], 'whole'):
                results['results'][name] = COMPARISONS[name](options)
            else:
                results['results'][name] = report(options, name, *COMPARISONS[name](options))
        except Skip as why:
            print(f'  skipped: {why}')
            results['results'][name] = {'skipped': str(why)}
        except (Failed, bench_lanes.Failed) as why:
            print(f'  failed: {why}')
            results['results'][name] = {'failed': str(why)}
            failed = True
    options.json.write_text(json.dumps(results, indent=1) + '\n')
    print(f'written to {options.json}')
    return failed


if __name__ == '__main__':
    sys.exit(main())
