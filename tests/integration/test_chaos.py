"""
Nothing is lost: kill -9 at random points, with a log that grows and rotates, files, a lying collector and a real Kafka that dies
too.

The short form runs with the other tests; `./dev chaos` (CHAOS_ROUNDS, CHAOS_SEED) runs a long one. The oracle is the writer:
every event that it wrote must be found at every output, and the sums that SIGUSR1 prints must agree at every moment.
"""
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from collector import Collector
from harness import AT_END, PATIENCE_S, wait_for, whole_lines

ROUNDS = int(os.environ.get('CHAOS_ROUNDS', '6'))
SEED = int(os.environ.get('CHAOS_SEED') or random.SystemRandom().randrange(1 << 30))
VERBS = (('create', 'pods', '', 'ADMIN_ACTIVITY'), ('list', 'pods', '', 'ADMIN_READ'),
         ('get', 'pods', 'log', 'DATA_READ'), ('patch', 'nodes', 'status', 'DATA_WRITE'))
ACCOUNT = re.compile(r'msg="account" output=(\S+) class=(\S+) received=(\d+) delivered=(\d+) dropped=(\d+) dead=(\d+) '
                     r'held=(\d+)')


def event(number):
    verb, resource, subresource, _ = VERBS[number % 4]
    ref = {'resource': resource, 'namespace': 'n', 'name': 'x', 'apiVersion': 'v1'}
    if subresource:
        ref['subresource'] = subresource
    return json.dumps({
        'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'level': 'Metadata', 'auditID': f'{number:08}',
        'stage': 'ResponseComplete', 'requestURI': '/api/v1/x', 'verb': verb, 'user': {'username': 'u'},
        'objectRef': ref, 'requestReceivedTimestamp': '2026-11-21T21:01:59.952957Z',
        'stageTimestamp': '2026-11-21T21:01:59.952957Z', 'annotations': {'pad': 'x' * (number * 37 % 1500)},
    }, separators=(',', ':'))


class Writer(threading.Thread):
    """Appends events to a log and rotates it as lumberjack does: rename, create."""

    def __init__(self, path, rotate_every, pause, allowed=None):
        super().__init__(daemon=True)
        self.allowed = allowed   # events; it waits when it has written so many; None: no end
        self.path, self.rotate_every, self.pause = path, rotate_every, pause
        self.written = self.rotations = 0
        self.ending = threading.Event()
        AT_END.append(self.ending.set)

    def rotate(self):
        self.rotations += 1
        stamp = time.strftime('%Y-%m-%dT%H-%M-', time.gmtime(1795294919 + self.rotations // 60 * 60))
        os.rename(self.path, self.path.with_name(f'audit-{stamp}{self.rotations % 60:02}.000.log'))

    def run(self):
        out = open(self.path, 'ab', buffering=0)
        while not self.ending.wait(self.pause):
            if self.allowed is not None and self.written >= self.allowed:
                continue
            lines = ''.join(event(n) + '\n' for n in range(self.written, self.written + 40))
            out.write(lines.encode())
            self.written += 40
            if self.written % self.rotate_every == 0:
                out.close()
                self.rotate()
                out = open(self.path, 'ab', buffering=0)
        out.close()

    def end(self):
        self.ending.set()
        self.join()


def ids(lines):
    return [json.loads(line)['auditID'] for line in lines]


def wanted(count, class_):
    return {f'{n:08}' for n in range(count) if VERBS[n % 4][3] == class_}


def file_lines(folder, class_):
    """Whole lines: while the program runs, the last one may be on its way in, or out again where the disk is full."""
    path = folder / f'{class_.lower()}.log'
    text = path.read_bytes() if path.exists() else b''
    return text[:text.rfind(b'\n') + 1].splitlines()


def is_torn(folder, class_):
    path = folder / f'{class_.lower()}.log'
    return path.exists() and path.stat().st_size and not path.read_bytes().endswith(b'\n')


def lines_so_far(folder, class_):
    """The same while it is being written."""
    return whole_lines(folder / f'{class_.lower()}.log')


def check_accounts(text):
    """Every line that SIGUSR1 printed agrees with itself."""
    found = ACCOUNT.findall(text)
    for output, class_, *numbers in found:
        received, delivered, dropped, dead, held = map(int, numbers)
        assert received == delivered + dropped + dead + held, (output, class_, numbers)
    return len(found)


IN_FLIGHT, BATCH = 2, 50
EVENTS_A_ROUND = 1600
FOUND_S = 60 + ROUNDS   # until every event has arrived, and is found: reading what came takes longer with each round
CONFIG = '''
state_dir: state
shutdown_wait: {wait}
redact: off
inputs:
  log: {{type: file, path: audit.log}}
outputs:
  archive: {{type: file, path: "out/{{class}}.log"}}
  siem: {{type: http, url: "{url}", batch_events: 50, in_flight: 2, batch_wait: 50ms, timeout: 120s, retry_min: 20ms, retry_max: 200ms,
         spool_after: 100ms}}
'''
KAFKA = '''  kafka: {{type: kafka, brokers: ["{bootstrap}"], topic: "{prefix}.{{class}}", spool_after: 500ms}}
'''
# What a kill may bring again of a class, in bytes: one chunk for a file; for Kafka the lane's share of memory_max.
CHUNK_BYTES = 256 << 10
SHARE_BYTES = (32 << 20) // 2 // 12

FAULTS = (
    dict(kind='status', status=503, seconds=0.4),
    dict(kind='status', status=429, times=3, retry_after=0),
    dict(kind='status', status=401, times=3),
    dict(kind='reset', times=3),
    dict(kind='lose_answers', times=2),
    dict(kind='delay', delay=0.3, times=4),
)


class Run:
    """The program under a supervisor that kills it."""

    def __init__(self, router):
        self.router, self.process, self.stderr = router, None, ''

    def begin(self):
        self.process = self.router.start('run', '-c', 'audit-router.yaml')

    def account(self):
        """Asks for the sums, once it runs; they are read when the process has ended."""
        lock = self.router.folder / 'state' / 'lock'
        if self.process.poll() is None and lock.exists() and lock.read_text().strip() == str(self.process.pid):
            self.process.send_signal(signal.SIGUSR1)

    def end(self, how):
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        text = (self.router.folder / 'stderr').read_text(errors='replace')
        assert 'AddressSanitizer' not in text and 'runtime error' not in text, text
        self.stderr += text
        return code


def inject(collector, randomness):
    fault = dict(randomness.choice(FAULTS))
    kind = fault.pop('kind')
    status = fault.pop('status', None)
    if kind == 'status':
        collector.fail(status, **fault)
    else:
        getattr(collector, kind)(**fault)


class Kafka:
    """Topics of a real broker, which may be killed as well."""

    def __init__(self, broker, prefix):
        self.broker, self.prefix, self.deaths = broker, prefix, 0

    def config(self):
        return KAFKA.format(bootstrap=self.broker.bootstrap, prefix=self.prefix)

    def lines(self, class_):
        return [m.value for m in self.broker.consume(f'{self.prefix}.{class_.lower()}')]

    def has(self, class_, ids_wanted):
        return f'{self.prefix}.{class_.lower()}' in self.broker.topics() and ids_wanted <= set(ids(self.lines(class_)))


def kill_often(router, collector, randomness, kafka, rounds):
    """Returns the Run, in its last process, which is left alone, and the writer, which has ended."""
    (router.folder / 'audit.log').touch()
    writer = Writer(router.folder / 'audit.log', rotate_every=800, pause=0.01, allowed=0)
    writer.start()
    run, start = Run(router), time.monotonic()
    for number in range(rounds):
        writer.allowed = (number + 1) * EVENTS_A_ROUND   # a slow machine shall not mean a longer log
        inject(collector, randomness)
        run.begin()
        if kafka and number % 20 == 3:
            kafka.broker.kill()
        time.sleep(randomness.uniform(0.05, 0.8))   # the point of the kill, not a wait for something
        run.account()
        time.sleep(0.02)
        run.end(signal.SIGKILL)
        if kafka and not kafka.broker.process:
            kafka.broker.start()
            kafka.deaths += 1
        print(f'round {number + 1} of {rounds}: {writer.written} events, {time.monotonic() - start:.0f} s', flush=True)
    writer.end()
    collector.heal()
    run.begin()
    return run, writer


def extra_bytes(lines):
    """Of what is there more than once."""
    return sum(map(len, lines)) - sum(map(len, set(lines)))


def dead_ids(router):
    letters = router.folder / 'state' / 'dead-letters' / 'outputs' / 'siem.ndjson'
    return {json.loads(line)['event']['auditID'] for line in whole_lines(letters)}


def check_found_and_count(router, collector, kafka, written, rounds):
    """Every event at every output (or refused for good, and a dead letter); what came again is bounded."""
    again_siem = 0
    for *_, class_ in VERBS:
        archive, siem = file_lines(router.folder / 'out', class_), collector.lines(f'/siem/{class_.lower()}')
        topic = kafka.lines(class_) if kafka else []
        assert not is_torn(router.folder / 'out', class_)
        assert set(ids(archive)) == wanted(written, class_)
        assert set(ids(siem)) == wanted(written, class_) - dead_ids(router)
        again_siem += len(siem) - len(set(ids(siem)))
        print(f'{class_}: {written // 4} events, again after {rounds} kills: {len(archive) - len(set(ids(archive)))} in the file, '
              f'{len(siem) - len(set(ids(siem)))} at the collector, {len(topic) - len(set(ids(topic)))} in Kafka')
        assert extra_bytes(archive) <= rounds * CHUNK_BYTES
        if kafka:
            assert set(ids(topic)) == wanted(written, class_)
            assert extra_bytes(topic) <= rounds * SHARE_BYTES
    print(f'collector: {again_siem} events again, {collector.lost} in answers that were lost')
    assert again_siem <= rounds * 4 * IN_FLIGHT * BATCH + collector.lost


@pytest.mark.parametrize('with_kafka', [False, pytest.param(True, marks=[pytest.mark.broker, pytest.mark.slow])])
def test_kill_9_at_random_points_loses_nothing(router, request, with_kafka):
    print(f'CHAOS_SEED={SEED}')
    randomness = random.Random(SEED)
    kafka = Kafka(request.getfixturevalue('broker'), request.getfixturevalue('prefix')) if with_kafka else None
    # 413 for a batch, 400 for a batch with an event that it does not like: these events alone are dead letters
    with Collector(max_body=40000, refuse=rb'"auditID":"\d{4}(0303|2718)"') as collector:
        router.write('audit-router.yaml', CONFIG.format(url=collector.url('/siem/{class}'), wait='60s') + (kafka.config() if kafka else ''))
        run, writer = kill_often(router, collector, randomness, kafka, ROUNDS)

        def delivered():
            run.account()
            return all(wanted(writer.written, c) <= set(ids(lines_so_far(router.folder / 'out', c))) and
                       wanted(writer.written, c) <= set(ids(collector.lines(f'/siem/{c.lower()}'))) | dead_ids(router)
                       for *_, c in VERBS)
        wait_for(delivered, 'every event at every output')
        if kafka:
            wait_for(lambda: all(kafka.has(c, wanted(writer.written, c)) for *_, c in VERBS), 'every event in Kafka')
            print(f'the broker was killed {kafka.deaths} times')
        assert run.end(signal.SIGTERM) == 0
        assert check_accounts(run.stderr) > 0
        check_found_and_count(router, collector, kafka, writer.written, ROUNDS)


def test_sigterm_and_start_double_nothing(router):
    with Collector() as collector:
        router.write('audit-router.yaml', CONFIG.format(url=collector.url('/siem/{class}'), wait='60s'))
        (router.folder / 'audit.log').touch()
        writer = Writer(router.folder / 'audit.log', rotate_every=800, pause=0.01)
        writer.start()
        run = Run(router)
        for _ in range(3):
            run.begin()
            seen = writer.written
            wait_for(lambda: writer.written > seen + 400, 'the log to grow')
            assert run.end(signal.SIGTERM) == 0
        writer.end()
        run.begin()
        wait_for(lambda: all(wanted(writer.written, c) <= set(ids(collector.lines(f'/siem/{c.lower()}')))
                             for *_, c in VERBS), 'every event at the collector')
        assert run.end(signal.SIGTERM) == 0
        for *_, class_ in VERBS:
            assert sorted(ids(file_lines(router.folder / 'out', class_))) == sorted(wanted(writer.written, class_))
            assert sorted(ids(collector.lines(f'/siem/{class_.lower()}'))) == sorted(wanted(writer.written, class_))


def test_a_dead_collector_holds_nobody_and_gets_all_later(router):
    """Stopped for the whole first run; its spool has everything for it when it comes back."""
    collector = Collector()
    with collector:
        url = collector.url('/siem/{class}')
    router.write('audit-router.yaml', CONFIG.format(url=url, wait='5s'))
    (router.folder / 'audit.log').write_bytes(b''.join(event(n).encode() + b'\n' for n in range(8000)))
    run = Run(router)
    run.begin()
    wait_for(lambda: sum(len(lines_so_far(router.folder / 'out', c)) for *_, c in VERBS) == 8000,
             'every event in the files while the collector is dead')
    assert run.end(signal.SIGTERM) == 0
    spooled = sum(f.stat().st_size for f in (router.folder / 'state' / 'spool' / 'siem').rglob('*') if f.is_file())
    assert spooled > 1 << 20
    with collector:
        run.begin()
        wait_for(lambda: sum(len(collector.lines(f'/siem/{c.lower()}')) for *_, c in VERBS) >= 8000,
                 'every event at the collector once it is back')
        assert run.end(signal.SIGTERM) == 0
        for *_, class_ in VERBS:
            assert sorted(ids(collector.lines(f'/siem/{class_.lower()}'))) == sorted(wanted(8000, class_))
    for *_, class_ in VERBS:
        assert sorted(ids(file_lines(router.folder / 'out', class_))) == sorted(wanted(8000, class_))


@pytest.mark.skipif(os.geteuid() != 0, reason='a small file system of its own takes root')
@pytest.mark.parametrize('full', ['state', 'out'])
def test_a_full_disk_holds_and_then_goes_on(router, full):
    """A tmpfs of 2 MB under the state or the archive: nothing is lost, nothing is torn, and room ends the wait."""
    folder = router.folder / full
    folder.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m,mode=700', 'tmpfs', folder], check=True)
    try:
        collector = Collector()
        with collector:
            url = collector.url('/siem/{class}')
        router.write('audit-router.yaml', CONFIG.format(url=url, wait='60s'))
        filler = folder / 'filler'
        filler.write_bytes(b'x' * (1 << 20))
        (router.folder / 'audit.log').write_bytes(b''.join(event(n).encode() + b'\n' for n in range(8000)))
        run = Run(router)
        run.begin()
        wait_for(lambda: re.search('spool takes no more|No space left', (router.folder / 'stderr').read_text()),
                 'the program to say that the disk is full')
        filler.unlink()
        subprocess.run(['mount', '-o', 'remount,size=64m', folder], check=True)
        with collector:
            wait_for(lambda: all(wanted(8000, c) <= set(ids(lines_so_far(router.folder / 'out', c))) and
                                 wanted(8000, c) <= set(ids(collector.lines(f'/siem/{c.lower()}')))
                                 for *_, c in VERBS), 'every event at every output')
            assert run.end(signal.SIGTERM) == 0
        for *_, class_ in VERBS:
            assert not is_torn(router.folder / 'out', class_)
            assert sorted(ids(file_lines(router.folder / 'out', class_))) == sorted(wanted(8000, class_))
    finally:
        subprocess.run(['umount', '-l', folder], check=False)


def test_a_second_process_on_the_same_state_is_refused(router):
    router.write('audit-router.yaml', 'state_dir: state\nredact: off\ninputs: {i: {type: stdin}}\n'
                                      'outputs: {o: {type: "null"}}\n')
    first = router.start('run', '-c', 'audit-router.yaml', stdin=subprocess.PIPE)
    wait_for(lambda: (router.folder / 'state' / 'lock').exists() and
             (router.folder / 'state' / 'dead-letters' / 'inputs.ndjson').exists(), 'the first to hold the lock')
    second = router('run', '-c', 'audit-router.yaml')
    assert second.returncode == 1 and str(first.pid) in second.stderr
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
