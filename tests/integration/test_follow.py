"""
The file input on a live log: rotation, restarts, and whatever else happens to files. Each event that was written is looked for
downstream; nothing here waits by time alone, only for a condition that has a deadline.
"""
import collections
import fcntl
import gzip
import itertools
import json
import os
import random
import resource
import shutil
import signal
import threading
import time

import pytest

from collector import Collector
from harness import AT_END, CLASSES, PATIENCE_S, wait_for, whole_lines
from ports import free_port

CONFIG = """\
state_dir: state
redact: off
inputs:
  log: {{ type: file, path: '{path}', from: {start} }}
outputs:
  files: {{ type: file, path: 'out/{{class}}.ndjson' }}
"""
ROTATED = itertools.count()


def event(number, size=0):
    """A line; the classes take turns."""
    verb, subresource = (('create', ''), ('get', ''), ('get', 'log'), ('patch', 'status'))[number % 4]
    return json.dumps({
        'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'level': 'Metadata', 'auditID': f'id-{number:08}',
        'stage': 'ResponseComplete', 'requestURI': '/api/v1/namespaces/default/pods/p', 'verb': verb,
        'user': {'username': 'alice', 'groups': ['system:authenticated']}, 'sourceIPs': ['10.0.0.1'],
        'objectRef': {'resource': 'pods', 'namespace': 'default', 'name': 'p', 'apiVersion': 'v1',
                      **({'subresource': subresource} if subresource else {})},
        'responseStatus': {'code': 200}, 'requestReceivedTimestamp': '2026-01-02T03:04:05.000000Z',
        'stageTimestamp': '2026-01-02T03:04:05.000000Z', 'annotations': {'pad': 'x' * size}},
        separators=(',', ':')).encode() + b'\n'


def events(first, n, size=0):
    return b''.join(event(i, size) for i in range(first, first + n))


def rotated_name(log):
    """As kube-apiserver names it: later ones sort later."""
    n = next(ROTATED)
    return log.parent / f'{log.stem}-2026-01-02T03-{n // 60000:02}-{n // 1000 % 60:02}.{n % 1000:03}{log.suffix}'


def pack(path):
    """As kube-apiserver packs it: for a moment both are there, and the packed one is not whole at first."""
    with open(path.parent / (path.name + '.gz'), 'wb') as out:
        packed = gzip.compress(path.read_bytes())
        out.write(packed[:len(packed) // 2])
        out.flush()
        out.write(packed[len(packed) // 2:])
    path.unlink()


def rotate(log, packed=False):
    """Renames it; whoever writes next makes a new one."""
    to = rotated_name(log)
    log.rename(to)
    if packed:
        pack(to)
    return to


def append(log, text):
    log.parent.mkdir(exist_ok=True)
    with open(log, 'ab') as out:
        out.write(text)


class Followed:
    """The router on a log, and what it delivered."""

    def __init__(self, router):
        self.router, self.folder, self.process = router, router.folder, None
        self.log = self.folder / 'log' / 'audit.log'
        self.configure()

    def configure(self, path=None, start='start', more=''):
        self.router.write('c.yaml', CONFIG.format(path=path or self.log, start=start) + more)

    def start(self, **more):
        self.process = self.router.start('run', '-c', self.folder / 'c.yaml', **more)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.stderr()

    def once(self):
        return self.router('run', '--once', '-c', self.folder / 'c.yaml')

    def stderr(self):
        return (self.folder / 'stderr').read_text(errors='replace')

    def got(self, class_=None):
        """Numbers of the delivered events, whole lines alone."""
        numbers = []
        for c in [class_] if class_ else CLASSES:
            path = self.folder / 'out' / f'{c.lower()}.ndjson'
            if path.exists():
                whole = path.read_bytes().rpartition(b'\n')[0]
                numbers += [int(line.partition(b'"auditID":"id-')[2][:8]) for line in whole.splitlines()]
        return numbers

    def expect(self, numbers):
        """All of these are delivered; returns what is, with repetitions."""
        wanted = set(numbers)
        wait_for(lambda: wanted <= set(self.got()), lambda: f'{len(wanted - set(self.got()))} events are missing, such as '
              f'{sorted(wanted - set(self.got()))[:5]}\n{self.stderr()}')
        return self.got()

    def expect_once(self, numbers):
        """Just these are delivered, each once, each class in order."""
        got = self.expect(numbers)
        assert sorted(got) == sorted(numbers), collections.Counter(got).most_common(3)
        for c in CLASSES:
            assert self.got(c) == sorted(self.got(c)), f'{c} out of order'

    def has_open(self, path):
        wanted = os.stat(path)
        for number in os.listdir(f'/proc/{self.process.pid}/fd'):
            try:
                found = os.stat(f'/proc/{self.process.pid}/fd/{number}')
            except FileNotFoundError:
                continue    # closed meanwhile
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
        return False

    def letters(self):
        path = self.folder / 'state' / 'dead-letters' / 'inputs.ndjson'
        return [json.loads(line) for line in whole_lines(path)]

    def checkpoint(self):
        try:
            return json.loads((self.folder / 'state' / 'checkpoint.json').read_text())
        except FileNotFoundError:
            return {}

    def checkpointed(self):
        """The input's own view of its files, as the checkpoint has it."""
        state = self.checkpoint().get('inputs', {}).get('log', {}).get('state')
        return json.loads(state)['files'] if state else None

    def until_checkpoint(self, **wanted):
        """Some file in the checkpoint has these values."""
        wait_for(lambda: any(all(f[k] == v for k, v in wanted.items()) for f in self.checkpointed() or []),
              lambda: f'checkpoint with {wanted}: {self.checkpointed()}\n{self.stderr()}')


@pytest.fixture
def followed(router):
    f = Followed(router)
    yield f
    if f.process and f.process.poll() is None:
        f.kill()


class Writer(threading.Thread):
    """An apiserver: writes events, and rotates every `period` seconds; the packer runs beside it, as there."""

    def __init__(self, log, period, packed=True, rate=1000):
        super().__init__(daemon=True)
        self.log, self.period, self.packed, self.rate = log, period, packed, rate
        self.written, self.rotations, self.over = 0, 0, threading.Event()
        AT_END.append(self.over.set)
        log.parent.mkdir(exist_ok=True)

    def run(self):
        packers = []
        while not self.over.is_set():
            with open(self.log, 'ab', buffering=0) as out:
                end = time.monotonic() + self.period
                while time.monotonic() < end and not self.over.is_set():
                    for _ in range(10):
                        out.write(event(self.written))
                        self.written += 1
                    self.over.wait(10 / self.rate)
            if self.over.is_set():
                break
            to = rotate(self.log)
            self.rotations += 1
            if self.packed and self.rotations % 2:
                packers.append(threading.Thread(target=pack, args=(to,)))
                packers[-1].start()
        for packer in packers:
            packer.join()

    def end(self):
        self.over.set()
        self.join()
        return range(self.written)


# ---- rotation ----

def test_rotation_every_100_ms(followed):
    followed.start()
    writer = Writer(followed.log, 0.1)
    writer.start()
    wait_for(lambda: writer.rotations >= 20, 'rotations')
    followed.expect_once(writer.end())
    followed.stop()


def test_rotation_faster_than_a_look(followed):
    """Rotated many times between two looks of the router: nothing is missed, and the order stays."""
    followed.start()
    for i in range(300):
        append(followed.log, events(i * 5, 5))
        rotate(followed.log, packed=i % 3 == 0)
    append(followed.log, events(1500, 5))
    followed.expect_once(range(1505))
    followed.stop()


def test_a_file_that_was_empty_when_it_was_seen(followed):
    """Seen empty, then written, renamed and packed before the next look: the packed one is known to be the same."""
    followed.log.parent.mkdir()
    followed.start()
    for i in range(40):
        append(followed.log, b'')
        wait_for(lambda: followed.has_open(followed.log), 'the log is open')
        append(followed.log, events(i * 10, 10))
        rotate(followed.log, packed=True)
    followed.expect_once(range(400))
    followed.stop()


def test_a_first_start_reads_rotated_files_oldest_first(followed):
    for i in range(4):
        append(followed.log, events(i * 10, 10))
        rotate(followed.log, packed=i % 2 == 0)
    append(followed.log, events(40, 10))
    followed.start()
    followed.expect_once(range(50))
    followed.stop()


def test_from_end_passes_over_what_is_there(followed):
    followed.configure(start='end')
    append(followed.log, events(0, 10))
    rotate(followed.log)
    append(followed.log, events(10, 10) + event(20)[:100])
    followed.start()
    followed.until_checkpoint(offset=len(events(10, 10)))
    append(followed.log, event(20)[100:] + events(21, 10))
    rotate(followed.log)
    append(followed.log, events(31, 10))
    followed.expect_once(range(20, 41))
    followed.stop()


def test_a_first_look_that_is_cut_short_is_done_again(followed):
    """What a checkpoint says that was written amid it would make all of the rest new."""
    n, folder = 3000, followed.log.parent
    followed.configure(path=folder / '*.log', start='end')
    for i in range(n):
        append(folder / f'app{i}.log', event(i))
    followed.start()
    wait_for(lambda: 'log' in followed.checkpoint().get('inputs', {}), 'a checkpoint')
    followed.kill()
    followed.start()
    wait_for(lambda: len(followed.checkpointed() or []) == n, 'all were looked at')
    append(folder / 'app0.log', event(n))
    followed.expect_once([n])
    followed.stop()


def test_a_pattern_that_fits_rotated_names(followed):
    followed.configure(path=followed.folder / 'log' / 'audit*.log*')
    for i in range(6):
        append(followed.log, events(i * 10, 10))
        rotate(followed.log, packed=i % 2 == 0)
    append(followed.log, events(60, 10))
    followed.start()
    followed.expect_once(range(70))
    for i in range(7, 40):
        append(followed.log, events(i * 10, 10))
        rotate(followed.log, packed=i % 2 == 0)
    append(followed.log, events(400, 10))
    followed.expect_once(range(410))
    followed.stop()
    followed.start()
    append(followed.log, events(410, 10))
    followed.expect_once(range(420))
    followed.stop()


def test_plain_and_packed_of_one_content_are_read_once(followed):
    append(followed.log, events(0, 10))
    to = rotate(followed.log)
    (to.parent / (to.name + '.gz')).write_bytes(gzip.compress(to.read_bytes()))
    append(followed.log, events(10, 10))
    followed.start()
    followed.expect_once(range(20))
    to.unlink()
    append(followed.log, events(20, 10))
    followed.expect_once(range(30))
    followed.stop()
    followed.once()
    followed.expect_once(range(30))


# ---- restarts ----

@pytest.mark.slow
def test_kill_at_random_points(followed):
    """Nothing is lost; what comes twice is less than what was read since the last checkpoint, which is a second old at most."""
    seed = random.randrange(1 << 32)
    print(f'seed {seed}')
    rng = random.Random(seed)
    rate, kills = 500, 7
    writer = Writer(followed.log, 0.1, rate=rate)
    writer.start()
    extra_max = 0
    for _ in range(kills):
        began, before = time.monotonic(), writer.written
        followed.start()
        enough = rng.uniform(0.2, 2)
        wait_for(lambda: time.monotonic() - began > enough, 'the time of the kill')
        followed.kill()
        extra_max += writer.written - before + rate
    followed.start()
    got = followed.expect(writer.end())
    assert set(got) == set(range(writer.written))
    extra = len(got) - len(set(got))
    print(f'{writer.written} events, {kills} kills, {extra} twice')
    assert extra <= extra_max
    followed.stop()


def test_a_second_start_reads_nothing_again(followed):
    append(followed.log, events(0, 10))
    rotate(followed.log, packed=True)
    append(followed.log, events(10, 10))
    followed.start()
    followed.expect_once(range(20))
    followed.stop()
    followed.start()
    append(followed.log, events(20, 10))
    followed.expect_once(range(30))
    followed.stop()
    assert followed.once().returncode == 0
    followed.expect_once(range(30))


@pytest.mark.parametrize('packed', [False, True])
def test_a_file_that_was_rotated_while_nobody_looked_is_read_on(followed, packed):
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    followed.stop()
    append(followed.log, events(10, 10))
    rotate(followed.log, packed)
    append(followed.log, events(20, 10))
    rotate(followed.log, packed)
    append(followed.log, events(30, 10))
    followed.start()
    followed.expect_once(range(40))
    followed.stop()
    assert not followed.letters()


def test_once_goes_on_where_it_was(followed):
    append(followed.log, events(100, 10))
    rotate(followed.log)  # not asked for
    append(followed.log, events(0, 10))
    assert followed.once().returncode == 0
    followed.expect_once(range(10))
    append(followed.log, events(10, 10))
    assert followed.once().returncode == 0
    followed.expect_once(range(20))
    append(followed.log, events(20, 10))
    rotate(followed.log, packed=True)
    append(followed.log, events(30, 10))
    assert followed.once().returncode == 0
    followed.expect_once(range(40))


def test_once_reads_all_that_is_there_while_other_logs_begin(followed):
    """Those have no line yet, and are each time another when they are about to be read."""
    folder, over = followed.log.parent, threading.Event()
    followed.configure(path=folder / '*.log')
    for i in range(100):
        append(folder / f'{i:02}.log', event(i) if i % 2 else b'{')

    def begin():
        while not over.is_set():
            for i in range(0, 100, 2):
                os.truncate(folder / f'{i:02}.log', random.randrange(1, 100))
    AT_END.append(over.set)
    beginner = threading.Thread(target=begin, daemon=True)
    beginner.start()
    followed.once()
    over.set()
    beginner.join()
    followed.expect_once(range(1, 100, 2))


def test_a_lane_that_is_ahead_gets_nothing_twice(followed):
    """A collector that is down holds its lanes; the files have everything, and keep having it once over kills."""
    port = free_port()
    followed.configure(more=f"  siem: {{ type: http, url: 'http://127.0.0.1:{port}/', spool: off, retry_max: 100ms }}\n")
    append(followed.log, events(0, 100))
    followed.start()
    followed.expect_once(range(100))
    lanes = followed.folder / 'state' / 'checkpoint.json'

    def ahead(n):
        inputs = json.loads(lanes.read_text())['inputs'] if lanes.exists() else {}
        files = inputs['log']['lanes']['files'] if 'log' in inputs else {}
        return len(files) == len(CLASSES) and all(
            lane['state'] and json.loads(lane['state'])['files'][0]['offset'] == len(events(0, n)) for lane in files.values())

    wait_for(lambda: ahead(100), 'a checkpoint in which the lanes are ahead')
    for n in (101, 102, 103):
        followed.kill()
        before = os.stat(lanes).st_mtime_ns
        followed.start()
        wait_for(lambda: os.stat(lanes).st_mtime_ns != before, 'a checkpoint')
        assert ahead(n - 1)
        append(followed.log, event(n - 1))
        followed.expect_once(range(n))
        wait_for(lambda: ahead(n), 'a checkpoint in which the lanes are ahead')
    with Collector(port=port) as collector:
        wait_for(lambda: len(set(collector.lines('/'))) >= 103, lambda: f'{len(collector.lines("/"))} lines\n{followed.stderr()}')
        followed.stop()
    followed.expect_once(range(103))


# ---- what else happens to files ----

def test_an_inode_that_comes_again_is_another_file(followed):
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    followed.stop()
    inode = followed.log.stat().st_ino
    followed.log.unlink()
    for _ in range(50):
        append(followed.log, events(10, 30))
        if followed.log.stat().st_ino == inode:
            break
        followed.log.unlink()
    else:
        pytest.skip('this file system does not give inodes out again soon')
    followed.start()
    followed.expect_once(range(40))
    followed.stop()


def test_rotated_and_killed_while_inodes_come_again(followed):
    """Each second, long by FOLLOW_TURNS: what was delivered is deleted, its inode is the next log's, and the router is killed."""
    turns, inodes, old = int(os.environ.get('FOLLOW_TURNS', '6')), collections.Counter(), None
    pause = 1 if turns > 6 else 0.1
    for turn in range(turns):
        if old:
            old.unlink()
        append(followed.log, events(turn * 30, 20))
        inodes[followed.log.stat().st_ino] += 1
        followed.start()
        append(followed.log, events(turn * 30 + 20, 10))
        followed.expect(range((turn + 1) * 30))
        old = rotate(followed.log)
        time.sleep(pause * (turn % 3))   # killed before or after it has seen the new name, not a wait for it
        followed.kill()
    followed.start()
    append(followed.log, events(turns * 30, 10))
    assert set(followed.expect(range(turns * 30 + 10))) == set(range(turns * 30 + 10))
    followed.stop()
    print(f'{len(inodes)} inodes for {turns} logs')


@pytest.mark.parametrize('longer', [False, True])
def test_a_log_that_is_cut_is_read_from_its_start(followed, longer):
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    new = events(10, 30 if longer else 5)
    with open(followed.log, 'r+b') as out:
        out.truncate(0)
        out.write(new)
    followed.expect_once(range(40 if longer else 15))
    wait_for(lambda: 'was cut' in followed.stderr(), followed.stderr)
    followed.stop()
    assert not followed.letters()


def copy_and_cut(followed, copy, first):
    """logrotate's copytruncate, and five more events, from number `first` on: all up to them are delivered, each once."""
    shutil.copy(followed.log, copy)
    os.truncate(followed.log, 0)
    append(followed.log, events(first, 5))
    followed.expect_once(range(first + 5))


def test_copied_and_cut(followed):
    """The copy is no new log, and what was not read before the cut is read from it."""
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    for i in range(1, 10):
        append(followed.log, events(i * 10, 5))
        copy_and_cut(followed, followed.log.parent / f'audit.log-2026010{i}', i * 10 + 5)
    followed.stop()
    assert not followed.letters()


def test_a_copy_that_takes_its_time(followed):
    """It is listed, and held open, while nothing is in it; filled, it is still no new log."""
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    for i in range(1, 6):
        copy = followed.log.parent / f'audit.log-2026010{i}'
        copy.touch()
        wait_for(lambda: followed.has_open(copy), followed.stderr)
        shutil.copy(followed.log, copy)
        append(followed.log, events(i * 10, 5))
        followed.expect_once(range(i * 10 + 5))
        copy_and_cut(followed, copy, i * 10 + 5)
    followed.stop()
    assert not followed.letters()


def test_copied_and_cut_under_a_writer_that_does_not_append(followed):
    """It writes on where it was: each file begins with zero bytes, and is no copy of the one before for that."""
    followed.log.parent.mkdir()
    with open(followed.log, 'wb', buffering=0) as out:
        out.write(events(0, 10))
        followed.start()
        followed.expect_once(range(10))
        for i in range(1, 6):
            shutil.copy(followed.log, followed.log.parent / f'audit.log-2026010{i}')
            os.truncate(followed.log, 0)
            wait_for(lambda: followed.stderr().count('was cut') == i, followed.stderr)
            wait_for(lambda: followed.has_open(followed.log), 'the log is open')
            out.write(events(i * 10, 10))
            followed.expect_once(range(i * 10 + 10))
    followed.stop()
    assert not followed.letters()


def test_a_hole_longer_than_any_line(followed):
    """As a log of 100 MB leaves it that was cut under a writer that does not append, and once more after a start."""
    followed.log.parent.mkdir()
    with open(followed.log, 'wb', buffering=0) as out:
        out.seek(100 << 20)
        out.write(events(0, 10))
        followed.start()
        followed.expect_once(range(10))
        followed.kill()
        out.write(events(10, 10))
        followed.start()
        followed.expect_once(range(20))
    followed.stop()
    assert not followed.letters()


def same_head(number, length):
    """An event whose first `length` bytes a client can make those of another: it chooses the auditID and the URI."""
    line = event(number)
    return line.replace(b'"auditID":"id-', b'"requestURI":"/' + b'x' * length + b'","auditID":"id-', 1)


@pytest.mark.parametrize('packed', [False, True], ids=['plain', 'packed'])
@pytest.mark.parametrize('length', [1100, 70000], ids=['kilobyte', 'long'])
def test_logs_that_begin_alike_are_not_one(followed, length, packed):
    """Nobody can hide a log by making its first event begin as that of another."""
    followed.log.parent.mkdir()
    followed.start()
    for i in range(4):
        append(followed.log, same_head(100 * i, length) + events(100 * i + 1, 99))
        wait_for(lambda n=i: len(followed.got()) >= 100 * (n + 1), followed.stderr)
        rotate(followed.log, packed)
    followed.stop()
    followed.expect_once(range(400))
    append(followed.log, same_head(400, length) + events(401, 99))
    rotate(followed.log, packed)
    append(followed.log, same_head(500, length) + events(501, 99))
    assert followed.once().returncode == 0
    followed.expect_once(range(600))


@pytest.mark.parametrize('restarts', [False, True], ids=['running', 'restarted'])
def test_a_log_that_is_cut_and_begins_alike_is_read(followed, restarts):
    append(followed.log, same_head(0, 1100) + events(1, 9))
    followed.start()
    wait_for(lambda: len(followed.got()) == 10, followed.stderr)
    if restarts:
        followed.stop()
    shutil.copy(followed.log, rotated_name(followed.log))
    followed.log.write_bytes(same_head(10, 1100) + events(11, 99))
    if restarts:
        followed.start()
    wait_for(lambda: len(set(followed.got())) == 110, followed.stderr)
    followed.stop()
    followed.expect_once(range(110))


@pytest.mark.parametrize('start', [b'\n', b'# opened\n'], ids=['blank', 'header'])
def test_logs_that_begin_with_the_same_short_line_are_not_one(followed, start):
    """What every log of a writer begins with tells none of them from another."""
    append(followed.log, start)
    followed.start()
    followed.until_checkpoint(offset=len(start))
    rotate(followed.log)
    append(followed.log, start + events(0, 10))
    followed.expect_once(range(10))
    followed.stop()


def test_links_to_a_log_are_not_logs_of_their_own(followed):
    """As the names are listed, the link comes before and behind what it leads to."""
    folder = followed.log.parent
    followed.configure(path=folder / '*.log')
    append(folder / 'app-1.log', events(0, 50))
    (folder / 'aaa.log').symlink_to('app-1.log')
    (folder / 'zzz.log').symlink_to('app-1.log')
    os.link(folder / 'app-1.log', folder / 'hard.log')
    followed.start()
    wait_for(lambda: len(followed.got()) >= 50, followed.stderr)
    append(folder / 'app-2.log', events(50, 50))
    for name in ('aaa.log', 'zzz.log'):
        (folder / 'new').symlink_to('app-2.log')
        (folder / 'new').rename(folder / name)
    wait_for(lambda: len(set(followed.got())) == 100, followed.stderr)
    followed.stop()
    assert followed.once().returncode == 0
    followed.expect_once(range(100))


def test_late_creation(followed):
    followed.start()
    wait_for(lambda: 'waits for' in followed.stderr(), followed.stderr)
    append(followed.log, events(0, 10))
    followed.expect_once(range(10))
    followed.stop()
    assert followed.stderr().count('waits for') == 1


def test_a_deleted_log_is_told_of_and_read_again(followed):
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    followed.log.unlink()
    wait_for(lambda: 'audit.log is gone' in followed.stderr(), followed.stderr)
    append(followed.log, events(10, 10))
    followed.expect_once(range(20))
    wait_for(lambda: 'is there again' in followed.stderr(), followed.stderr)
    followed.stop()
    assert followed.stderr().count('is gone') == 1
    assert not followed.letters()


def test_a_deleted_file_is_read_to_its_end(followed):
    """What is written to a file that has lost its name, by one who still has it open, is not lost."""
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    with open(followed.log, 'ab', buffering=0) as out:
        followed.log.unlink()
        out.write(events(10, 10))
        followed.expect_once(range(20))
    append(followed.log, events(20, 10))
    followed.expect_once(range(30))
    followed.stop()


def test_a_part_of_a_line_waits_for_the_rest(followed):
    line = event(10, size=100_000)
    append(followed.log, events(0, 10) + line[:200])
    followed.start()
    followed.expect_once(range(10))
    for at in range(200, len(line) - 1000, 10_000):
        append(followed.log, line[at:at + 10_000])
    written = followed.log.stat().st_size - len(events(0, 10))
    followed.until_checkpoint(offset=len(events(0, 10)))
    followed.kill()
    followed.start()
    append(followed.log, line[written:] + events(11, 5))
    followed.expect_once(range(16))
    append(followed.log, event(16)[:-1])
    rotate(followed.log)  # nothing will be added to it: its last line
    append(followed.log, events(17, 3))
    followed.expect_once(range(20))
    followed.stop()
    assert not followed.letters()


def test_a_line_that_is_written_while_its_file_is_rotated_is_one(followed):
    """By a writer that opens the new log only when it is told to."""
    append(followed.log, events(0, 10) + event(10)[:100])
    followed.start()
    followed.expect_once(range(10))
    to = rotate(followed.log)
    append(followed.log, event(12))

    def written_just_now():
        os.utime(to)
        return 12 in followed.got()
    wait_for(written_just_now, 'the new log is read')
    append(to, event(10)[100:] + event(11))
    followed.expect(range(13))
    followed.stop()
    assert sorted(followed.got()) == list(range(13))
    assert not followed.letters()


@pytest.mark.parametrize('times', [1, 3])
def test_a_file_that_is_taken_away_is_read_while_its_writer_goes_on(followed, times):
    """To where nothing looks, as by logrotate's olddir, and there is a new log already."""
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    with open(followed.log, 'ab', buffering=0) as out:
        followed.log.rename(followed.folder / 'audit.log-20260102')
        append(followed.log, events(10, 10))
        followed.expect_once(range(20))
        for i in range(times):
            followed.until_checkpoint(offset=out.tell(), done=True)
            out.write(events(20 + i * 10, 10))
            followed.expect(range(30 + i * 10))
        followed.until_checkpoint(offset=out.tell(), done=True)
    followed.stop()
    append(followed.log, events(100, 10))
    followed.start()
    followed.expect([*range(20 + times * 10), *range(100, 110)])
    followed.stop()
    assert len(followed.got()) == 30 + times * 10
    assert not followed.letters()


def test_a_folder_that_comes_late_is_no_gap(followed):
    """As a mount that is not there yet when the machine and the router start."""
    append(followed.log, events(0, 10))
    rotate(followed.log)
    append(followed.log, events(10, 10))
    followed.start()
    followed.expect_once(range(20))
    followed.stop()
    append(followed.log, events(20, 10))
    away = followed.folder / 'away'
    followed.log.parent.rename(away)
    followed.start()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 4, 'more than it takes to miss a file of a log that is there')
    away.rename(followed.log.parent)
    followed.expect_once(range(30))
    followed.stop()
    assert not followed.letters()


def test_a_file_that_vanished_unread_is_a_gap(followed):
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))
    followed.until_checkpoint(offset=len(events(0, 10)))
    followed.stop()
    append(followed.log, events(10, 10))
    rotate(followed.log).unlink()
    append(followed.log, events(20, 10))
    followed.start()
    followed.expect_once([*range(10), *range(20, 30)])
    letter = wait_for(followed.letters, 'a dead letter')[0]
    assert letter['code'] == 'gap' and letter['where'].endswith('audit.log') and letter['input'] == 'log'
    wait_for(lambda: 'vanished' in followed.stderr(), followed.stderr)
    followed.until_checkpoint(offset=len(events(20, 10)))
    wait_for(lambda: len(followed.checkpointed()) == 1, followed.checkpointed)
    followed.stop()
    followed.start()
    append(followed.log, events(30, 10))
    followed.expect_once([*range(10), *range(20, 40)])
    followed.stop()
    assert len(followed.letters()) == 1


def test_another_path_leaves_the_old_log_alone(followed):
    """A log that the configuration names no more is no gap, and goes on where it was when it is named again."""
    append(followed.log, events(0, 10))
    assert followed.once().returncode == 0
    other = followed.folder / 'other' / 'audit.log'
    append(other, events(10, 10))
    followed.configure(path=other)
    assert followed.once().returncode == 0
    append(followed.log, events(20, 10))
    followed.configure()
    assert followed.once().returncode == 0
    followed.expect_once(range(30))
    assert not followed.letters()


def test_a_damaged_packed_file_costs_only_itself(followed):
    append(followed.log, events(0, 100))
    to = rotate(followed.log, packed=True)
    packed = to.parent / (to.name + '.gz')
    packed.write_bytes(packed.read_bytes()[:-20])
    append(followed.log, events(100, 10))
    followed.start()
    followed.expect(range(100, 110))
    wait_for(lambda: 'cut short' in followed.stderr(), followed.stderr)
    followed.stop()
    packed.write_bytes(gzip.compress(events(0, 100)))
    followed.start()
    assert sorted(followed.expect(range(110))) == list(range(110))
    followed.stop()


def test_many_logs_by_one_pattern(followed):
    followed.configure(path=followed.folder / '*' / 'audit.log')
    logs = [followed.folder / f'node{i}' / 'audit.log' for i in range(5)]
    followed.start()
    for round_ in range(3):
        for i, log in enumerate(logs):
            append(log, events((round_ * 5 + i) * 10, 10))
        followed.expect(range(round_ * 50 + 50))
        rotate(logs[round_], packed=True)
    got = followed.expect(range(150))
    assert len(got) == 150
    followed.stop()


def test_a_file_that_is_named_like_the_pattern(followed):
    """A shell's `>> log/*.log` makes it where nothing fits; it may come and go while the router runs."""
    logs = [followed.folder / 'log' / name for name in ('a.log', 'b.log')]
    named = followed.folder / 'log' / '*.log'
    followed.configure(path=named)
    append(named, events(0, 5))
    for i, log in enumerate(logs):
        append(log, events(5 + i * 5, 5))
    followed.start()
    assert sorted(followed.expect(range(15))) == list(range(15))
    for i, log in enumerate([*logs, named]):
        append(log, events(15 + i * 5, 5))
    assert sorted(followed.expect(range(30))) == list(range(30))
    named.unlink()
    append(logs[0], events(30, 5))
    assert sorted(followed.expect(range(35))) == list(range(35))
    followed.stop()


def test_a_path_that_has_the_characters_of_patterns(followed):
    """It is the file of that name, and its rotated ones are read as those of any path."""
    followed.log = followed.folder / 'log' / 'audit[1].log'
    followed.configure()
    append(followed.log, events(0, 5))
    rotate(followed.log)
    append(followed.log, events(5, 5))
    followed.start()
    followed.expect_once(range(10))
    rotate(followed.log)
    append(followed.log, events(10, 5))
    followed.expect_once(range(15))
    followed.stop()
    assert not followed.letters()


def test_more_logs_than_descriptors(followed):
    """A part of them is held open; the others are read when they have grown, and are known when they are renamed."""
    logs = [followed.folder / 'log' / f'{i}.log' for i in range(300)]
    followed.configure(path=followed.folder / 'log' / '*.log')
    for i, log in enumerate(logs):
        append(log, event(i))
    followed.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
    assert sorted(followed.expect(range(300))) == list(range(300))
    held = [i for i, log in enumerate(logs) if followed.has_open(log)]
    assert 16 <= len(held) <= 50
    for i, log in enumerate(logs):
        append(log, event(300 + i))
    assert sorted(followed.expect(range(600))) == list(range(600))
    for i, log in enumerate(logs):
        append(log, event(600 + i))
        rotate(log)
        append(log, event(900 + i))
    assert sorted(followed.expect(range(1200))) == list(range(1200))
    followed.stop()
    assert not followed.letters() and 'Too many open files' not in followed.stderr()
    assert followed.once().returncode == 0
    assert sorted(followed.got()) == list(range(1200))


def test_a_log_that_cannot_be_read_does_not_stop_the_others(followed):
    """A lease keeps it from being opened, by root too."""
    first, second = followed.folder / 'log' / 'a.log', followed.folder / 'log' / 'b.log'
    followed.configure(path=followed.folder / 'log' / '*.log')
    append(first, events(0, 5))
    append(second, events(5, 5))
    followed.start()
    followed.expect_once(range(10))
    followed.stop()
    append(first, events(10, 5))
    append(second, events(15, 5))
    with open(first, 'r+b') as lease:
        fcntl.fcntl(lease, fcntl.F_SETSIG, signal.SIGURG)    # which is ignored, when somebody wants to open it
        try:
            fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as e:
            pytest.skip(f'no leases here: {e.strerror}')
        followed.start()
        assert not set(range(10, 15)) & set(followed.expect(range(15, 20)))
    assert sorted(followed.expect(range(20))) == list(range(20))
    followed.stop()


def test_idle_is_idle_and_a_stop_is_prompt(followed):
    followed.configure(more='shutdown_wait: 1h\n')
    append(followed.log, events(0, 10))
    followed.start()
    followed.expect_once(range(10))

    def ticks():
        stat = open(f'/proc/{followed.process.pid}/stat', encoding='ascii').read().rpartition(')')[2].split()
        return int(stat[11]) + int(stat[12])

    before, begun = ticks(), time.monotonic()
    time.sleep(2)
    used, passed = (ticks() - before) / os.sysconf('SC_CLK_TCK'), time.monotonic() - begun
    assert used < passed / 4, 'busy while there is nothing to do'
    followed.stop()     # does not wait for as long as it may


def test_a_damaged_state_is_refused(followed):
    append(followed.log, events(0, 10))
    assert followed.once().returncode == 0
    checkpoint = followed.folder / 'state' / 'checkpoint.json'
    checkpoint.write_text(checkpoint.read_text().replace('hash_bytes', 'hash_bites'))
    done = followed.once()
    assert done.returncode == 1 and 'checkpoint' in done.stderr
    followed.expect_once(range(10))
