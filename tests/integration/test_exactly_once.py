"""
Exactly once: file -> Kafka in transactions that carry the position, read back with isolation.level=read_committed.

The oracle is the writer of the log: each event that it wrote is found once, in the topic of its class, in the order of writing
(one key, so one partition a class). EXACTLY_ONCE_ROUNDS and CHAOS_SEED: a long form (`./dev chaos`).
"""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from collector import Collector
from harness import PATIENCE_S, wait_for
from test_chaos import VERBS, Writer, event, ids, wanted

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS = int(os.environ.get('EXACTLY_ONCE_ROUNDS', '3'))
SEED = int(os.environ.get('CHAOS_SEED') or random.SystemRandom().randrange(1 << 30))

CONFIG = '''
cluster: c1
state_dir: state
shutdown_wait: 5s
once_wait: 20s
redact: off
inputs:
  log: {{ type: file, path: audit.log }}
outputs:
  kafka:
    type: kafka
    brokers: {brokers}
    topic: {prefix}.{{class}}
    key: user
    partitions: 2
    exactly_once: on
    transactional_id: {prefix}
    transaction_events: 300
    transaction_wait: 20ms
{more}
'''


class Run:
    """The program under a supervisor that kills it, and starts it again."""

    def __init__(self, router, brokers, prefix, more='', name='router.yaml'):
        self.router, self.process, self.stderr = router, None, router.folder / f'{name}.stderr'
        self.config = router.write(name, CONFIG.format(brokers=brokers, prefix=prefix, more=more))
        self.fallen = 0

    def begin(self):
        self.process = self.router.start('run', '-c', self.config, errors=self.stderr, again=True)

    def supervise(self):
        """
        Starts it again where it has ended by itself, as it may when transactions time out: it was given no time, or its broker
        none.
        """
        if self.process is None or self.process.poll() is not None:
            if self.process:
                assert self.process.returncode in (1, -signal.SIGKILL), self.text()[-3000:]
                self.fallen += self.process.returncode == 1
            self.begin()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def text(self):
        return self.stderr.read_text(errors='replace')


def stored(broker, prefix, class_):
    return broker.consume(f'{prefix}.{class_.lower()}')


def stored_so_far(broker, prefix, class_):
    """The same, while the broker may be busy with other things, or there is nothing yet."""
    try:
        return broker.consume(f'{prefix}.{class_.lower()}', patience=0)
    except RuntimeError:
        return []


def high_water(broker, prefix):
    """Something like how many messages there are, markers of transactions included."""
    total = 0
    for *_, class_ in VERBS:
        for partition in 0, 1:
            done = subprocess.run(['kcat', '-b', broker.bootstrap, '-Q', '-t', f'{prefix}.{class_.lower()}:{partition}:-1'],
                                  capture_output=True, check=False)
            words = done.stdout.decode().split()
            total += int(words[-1]) if words and words[-1].isdigit() else 0
    return total


def check_once_each(broker, prefix, count):
    for *_, class_ in VERBS:
        messages = stored(broker, prefix, class_)
        found = [json.loads(m.value)['auditID'] for m in messages]
        assert len(found) == len(set(found)), f'{class_}: {len(found) - len(set(found))} are there more than once'
        assert set(found) == wanted(count, class_), f'{class_}: {len(wanted(count, class_)) - len(found)} are missing'
        assert len({m.partition for m in messages}) == 1
        assert found == sorted(found), 'order of one key'
        assert [int(m.headers['seq']) for m in messages] == list(range(len(messages))), 'numbers without a gap'


def finish(run, broker, prefix, writer, beside=lambda: True):
    """Lets the router come to the end of what was written, there and beside it, and end."""
    writer.end()
    last = {class_: max(wanted(writer.written, class_)) for *_, class_ in VERBS}

    def all_there():
        run.supervise()
        for class_, audit_id in last.items():
            messages = stored_so_far(broker, prefix, class_)
            if not messages or json.loads(messages[-1].value)['auditID'] != audit_id:
                return False
        return beside()
    wait_for(all_there, 'the last event of each class')
    assert run.end() == 0
    print(f'{writer.written} events; the router ended {run.fallen} times by itself')


def start_writer(router, pause=0.004):
    log = router.folder / 'audit.log'
    log.touch()
    writer = Writer(log, rotate_every=1200, pause=pause)
    writer.start()
    return writer


@pytest.mark.parametrize('lost', ['', 'state_dir'])
def test_kill_9_doubles_and_loses_nothing(router, broker, prefix, lost):
    print(f'CHAOS_SEED={SEED}')
    randomness = random.Random(SEED)
    run, writer = Run(router, broker.bootstrap, prefix), start_writer(router)
    for _ in range(ROUNDS):
        run.supervise()
        time.sleep(randomness.uniform(0.3, 1.6))    # the point of the kill, not a wait for something
        run.kill()
        if lost:
            shutil.rmtree(router.folder / 'state')
    finish(run, broker, prefix, writer)
    assert writer.rotations > 0
    check_once_each(broker, prefix, writer.written)


def test_broker_killed_in_between(router, broker, prefix):
    """What was open when the broker died is done again, in the same process or in the next one."""
    run, writer = Run(router, broker.bootstrap, prefix), start_writer(router, pause=0.01)
    run.begin()
    for _ in range(1 if ROUNDS < 10 else 5):
        before = high_water(broker, prefix)
        wait_for(lambda: run.supervise() or high_water(broker, prefix) > before, 'transactions')
        broker.kill()
        time.sleep(1)       # the router goes on meanwhile, into the void
        broker.start()
    finish(run, broker, prefix, writer)
    check_once_each(broker, prefix, writer.written)


def test_the_older_of_two_with_one_id_ends(router, broker, prefix):
    first = Run(router, broker.bootstrap, prefix)
    second = Run(router, broker.bootstrap, prefix, name='second.yaml')
    second.config.write_text(second.config.read_text().replace('state_dir: state', 'state_dir: state2'))
    writer = start_writer(router, pause=0.01)
    first.begin()
    wait_for(lambda: high_water(broker, prefix) > 400, 'transactions')
    second.begin()
    assert first.process.wait(PATIENCE_S) == 1
    assert prefix in first.text() and 'the router ends' in first.text()
    finish(second, broker, prefix, writer)
    check_once_each(broker, prefix, writer.written)


def log_of(router, numbers):
    """Adds these events to the log."""
    with open(router.folder / 'audit.log', 'a') as log:
        log.writelines(event(n) + '\n' for n in numbers)


def numbers_of(class_, numbers):
    return [n for n in numbers if VERBS[n % len(VERBS)][-1] == class_]


def wait_for_class(run, broker, prefix, class_, count):
    """So many events are there; nobody starts it again where it ends."""
    def there():
        assert run.process.poll() is None, run.text()[-3000:]
        return len(stored_so_far(broker, prefix, class_)) >= count
    wait_for(there, run.text)


@pytest.mark.parametrize('others', [True, False], ids=['with-others', 'alone'])
def test_a_topic_that_is_deleted_is_made_again(router, broker, prefix, others):
    """By the same process, whether a transaction has events for other topics, too, or none."""
    run, name = Run(router, broker.bootstrap, prefix), f'{prefix}.admin_read'
    log_of(router, range(100))
    run.begin()
    wait_for_class(run, broker, prefix, 'ADMIN_READ', 25)
    broker.admin('delete', name)
    wait_for(lambda: name not in broker.topics())
    log_of(router, range(100, 200) if others else numbers_of('ADMIN_READ', range(100, 200)))
    wait_for_class(run, broker, prefix, 'ADMIN_READ', 25)
    assert run.end() == 0
    assert ids(m.value for m in stored(broker, prefix, 'ADMIN_READ')) == [
        f'{n:08}' for n in numbers_of('ADMIN_READ', range(100, 200))]
    for *_, class_ in VERBS:
        if class_ != 'ADMIN_READ':
            assert len(stored(broker, prefix, class_)) == (50 if others else 25)


def test_writing_forbidden_for_a_while(router, broker, prefix):
    run, name = Run(router, broker.bootstrap, prefix), f'{prefix}.data_write'
    log_of(router, range(100))
    run.begin()
    wait_for_class(run, broker, prefix, 'DATA_WRITE', 25)
    broker.admin('deny', name)
    log_of(router, range(100, 200))
    wait_for(lambda: 'uthorization failed' in run.text() or run.process.poll() is not None, run.text)
    broker.admin('allow', name)
    wait_for_class(run, broker, prefix, 'DATA_WRITE', 50)
    assert run.end() == 0
    check_once_each(broker, prefix, 200)


def test_many_that_the_broker_refuses_in_one_transaction(router, broker, prefix):
    """Each costs one more try of the transaction, and no pause: `run --once` would call that no progress."""
    for *_, class_ in VERBS:
        broker.admin('create', f'{prefix}.{class_.lower()}', 'max.message.bytes=20000', 'partitions=2')
    large = random.Random(1).randbytes(12000).hex()
    count, refused = 170, 30
    (router.folder / 'audit.log').write_text(''.join(
        event(n).replace('{', '{"x":"%s",' % large, 1) + '\n' if n < refused else event(n) + '\n' for n in range(count)))
    run = Run(router, broker.bootstrap, prefix)
    run.config.write_text(run.config.read_text().replace('once_wait: 20s', 'once_wait: 60s'))
    done = router('run', '--once', '-c', run.config)
    assert 'no progress' not in done.stderr, done.stderr
    letters = (router.folder / 'state/dead-letters/outputs/kafka.ndjson').read_text().splitlines()
    assert [json.loads(line)['code'] for line in letters] == ['too_large'] * refused
    for *_, class_ in VERBS:
        assert len(stored(broker, prefix, class_)) == len(numbers_of(class_, range(refused, count)))


def test_a_replay_beside_it_is_another_producer(router, broker, prefix):
    run = Run(router, broker.bootstrap, prefix)
    log_of(router, range(40))
    run.begin()
    wait_for_class(run, broker, prefix, 'ADMIN_READ', 10)
    letter = {'time': '2026-01-01T00:00:00Z', 'reason': 'of the test', 'code': 'too_large', 'output': 'kafka',
              'class': 'ADMIN_READ', 'event': json.loads(event(numbers_of('ADMIN_READ', range(40, 80))[0]))}
    done = router('replay', '-c', run.config, router.write('letters.ndjson', json.dumps(letter) + '\n'))
    assert done.returncode == 0, done.stderr
    assert len(stored(broker, prefix, 'ADMIN_READ')) == 11
    log_of(router, range(80, 120))
    wait_for_class(run, broker, prefix, 'ADMIN_READ', 21)
    assert run.end() == 0


def follows(router, broker, prefix, files, once_wait):
    """A configuration with so many files at once, a line in each, with names that cannot be compressed."""
    for n in range(files):
        router.write(f'logs/{random.Random(n).randbytes(12).hex()}.log', event(n) + '\n')
    run = Run(router, broker.bootstrap, prefix)
    run.config.write_text(run.config.read_text().replace('path: audit.log', 'path: logs/*.log').replace(
        'once_wait: 20s', f'once_wait: {once_wait}'))
    return run.config


def test_a_piece_of_the_position_goes_with_its_topic(router, broker, prefix):
    """What is known of many files is kept in pieces, one a topic; without one of them the checkpoint counts."""
    path = follows(router, broker, prefix, 130, '60s')
    for _ in range(2):
        done = router('run', '--once', '-c', path)
        assert done.returncode == 0, done.stderr
        broker.admin('delete', f'{prefix}.admin_read')
    for *_, class_ in VERBS:
        if class_ != 'ADMIN_READ':
            assert len(stored(broker, prefix, class_)) == len(numbers_of(class_, range(130)))


def test_more_files_than_there_is_room_for_are_told(router, broker, prefix):
    done = router('run', '--once', '-c', follows(router, broker, prefix, 400, '10s'))
    assert done.returncode == 1
    assert 'input log is too long for Kafka' in done.stderr


def test_an_http_output_beside_it_loses_nothing(router, broker, prefix):
    randomness = random.Random(SEED)
    with Collector() as collector:
        beside = ('  siem: {type: http, url: "%s", batch_events: 50, batch_wait: 20ms, spool_after: 100ms}\n'
                  % collector.url('/siem/{class}'))
        run, writer = Run(router, broker.bootstrap, prefix, more=beside), start_writer(router)
        for _ in range(max(2, ROUNDS // 2)):
            run.supervise()
            time.sleep(randomness.uniform(0.3, 1.2))    # the point of the kill
            run.kill()

        def posted():
            return {class_: set(ids(collector.lines(f'/siem/{class_.lower()}'))) for *_, class_ in VERBS}
        finish(run, broker, prefix, writer,
               lambda: posted() == {class_: wanted(writer.written, class_) for *_, class_ in VERBS})
        check_once_each(broker, prefix, writer.written)


def test_check_says_what_it_cannot_be_for(router):
    config = CONFIG.format(brokers='b:1', prefix='x', more='  siem: {type: http, url: "http://c:1/"}\n')
    config = config.replace('inputs:\n', 'inputs:\n  pipe: { type: stdin }\n').replace('exactly_once: on',
                                                                                 'exactly_once: on\n    spool: 1GiB')
    done = router('check', '-c', router.write('c.yaml', config))
    assert done.returncode == 1
    config = config.replace('    spool: 1GiB\n', '')
    done = router('check', '-c', router.write('c.yaml', config))
    assert done.returncode == 0, done.stderr
    assert '"siem" beside it is no part of its transactions' in done.stderr
    assert '"pipe" cannot say how far it has come' in done.stderr
