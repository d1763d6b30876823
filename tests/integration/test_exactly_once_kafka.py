"""
Exactly once from Kafka to Kafka: routers of one group that are killed and share the partitions anew, read back with
isolation.level=read_committed.

Each event that was written to the raw topic is found once, in the topic of its class, in the order of its key.
EXACTLY_ONCE_ROUNDS and CHAOS_SEED: a long form (`./dev chaos`).
"""
import collections
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from collector import Collector
from harness import AT_END, PATIENCE_S, STARTED, wait_for
from test_chaos import VERBS, event, ids, wanted
from test_exactly_once import stored, stored_so_far

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS = int(os.environ.get('EXACTLY_ONCE_ROUNDS', '3'))
SEED = int(os.environ.get('CHAOS_SEED') or random.SystemRandom().randrange(1 << 30))
KEYS = 12

CONFIG = '''
cluster: pool
state_dir: {state}
shutdown_wait: 10s
redact: off
inputs:
  raw:
    type: kafka
    brokers: {brokers}
    topics: [{prefix}.raw]
    group: {prefix}
    properties: {{ session.timeout.ms: "6000", heartbeat.interval.ms: "500" }}
outputs:
  kafka:
    type: kafka
    brokers: {brokers}
    topic: {prefix}.{{class}}
    key: user
    partitions: 3
    exactly_once: on
    transaction_events: 500
    transaction_wait: 50ms
{more}
'''


def keyed(number):
    return event(number).replace('"username":"u"', f'"username":"u{number % KEYS}"', 1)


class Source(threading.Thread):
    """Events to the raw topic, keyed by user, until it is told to end."""

    def __init__(self, broker, topic, pause):
        super().__init__(daemon=True)
        self.pause, self.written, self.ending = pause, 0, threading.Event()
        self.kcat = subprocess.Popen(['kcat', '-P', '-b', broker.bootstrap, '-t', topic, '-K', '\t', '-X', 'acks=all',
                                      '-X', 'enable.idempotence=true', '-X', 'linger.ms=5'], stdin=subprocess.PIPE)
        AT_END.append(self.ending.set)
        STARTED.append(self.kcat)

    def run(self):
        while not self.ending.wait(self.pause):
            for n in range(self.written, self.written + 48):
                self.kcat.stdin.write(f'u{n % KEYS}\t{keyed(n)}\n'.encode())
            self.written += 48
        self.kcat.stdin.close()
        assert self.kcat.wait(PATIENCE_S) == 0

    def end(self):
        self.ending.set()
        self.join()


class Pool:
    """Routers of one group, each under a supervisor: what ends with 1 is started again."""

    def __init__(self, router, broker, prefix, n, more=''):
        self.router, self.processes, self.fallen = router, [None] * n, 0
        self.configs = [router.write(f'{i}.yaml', CONFIG.format(state=f'state{i}', brokers=broker.bootstrap, prefix=prefix,
                                                                more=more)) for i in range(n)]

    def begin(self, i):
        self.processes[i] = self.router.start('run', '-c', self.configs[i], errors=f'{i}.stderr', again=True)

    def kill(self, i):
        self.processes[i].kill()
        self.processes[i].wait()

    def supervise(self):
        for i, process in enumerate(self.processes):
            if process.poll() is not None:
                assert process.returncode == 1, self.text(i)[-3000:]
                self.fallen += 1
                self.begin(i)

    def end(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(PATIENCE_S) for process in self.processes]

    def text(self, i):
        return (self.router.folder / f'{i}.stderr').read_text(errors='replace')


def check_once_each(broker, prefix, count):
    for *_, class_ in VERBS:
        messages = stored(broker, prefix, class_)
        found = [json.loads(m.value)['auditID'] for m in messages]
        assert len(found) == len(set(found)), f'{class_}: {len(found) - len(set(found))} are there more than once'
        assert set(found) == wanted(count, class_), f'{class_}: {len(wanted(count, class_)) - len(set(found))} are missing'
        by_key = collections.defaultdict(list)
        for m, audit_id in zip(messages, found):
            by_key[m.key].append(audit_id)
        for key, in_order in by_key.items():
            assert in_order == sorted(in_order), f'{class_}: order of {key}'


def finish(pool, broker, prefix, source, beside=lambda: True):
    """Lets the routers come to the end of what was written, there and beside it, and end."""
    source.end()

    def all_there():
        pool.supervise()
        return beside() and all(
            {json.loads(m.value)['auditID'] for m in stored_so_far(broker, prefix, class_)} == wanted(source.written, class_)
            for *_, class_ in VERBS)
    wait_for(all_there, 'every event at the output')
    assert pool.end() == [0] * len(pool.processes), '\n'.join(pool.text(i)[-1000:] for i in range(len(pool.processes)))
    check_once_each(broker, prefix, source.written)


def kill_again_and_again(pool, randomness, rounds):
    for _ in range(rounds):
        time.sleep(randomness.uniform(0.5, 2.5))    # the point of the kill, not a wait for something
        pool.supervise()
        victim = randomness.randrange(len(pool.processes))
        pool.kill(victim)
        time.sleep(randomness.choice((0, 0.5, 2)))
        pool.begin(victim)


def start(router, broker, prefix, n, more=''):
    broker.admin('create', f'{prefix}.raw', 'partitions=6')
    source, pool = Source(broker, f'{prefix}.raw', 0.01), Pool(router, broker, prefix, n, more)
    source.start()
    for i in range(n):
        pool.begin(i)
    return source, pool


def test_much_more_than_memory_of_clusters_by_turns(router, broker, prefix):
    """A transaction ends between two pieces of what is read, and never holds the memory that the next piece waits for."""
    count, clusters = 12000, ('a', 'b', 'c')
    for k, cluster in enumerate(clusters):
        broker.admin('create', f'{prefix}.raw.{cluster}', 'partitions=2')
        lines = ''.join(f'u{n % KEYS}\t{keyed(n)}\n' for n in range(k, count, len(clusters)))
        subprocess.run(['kcat', '-P', '-b', broker.bootstrap, '-t', f'{prefix}.raw.{cluster}', '-K', '\t', '-X', 'acks=all'],
                       input=lines.encode(), check=True)
    config = CONFIG.format(state='state', brokers=broker.bootstrap, prefix=prefix, more='').replace(
        f'topics: [{prefix}.raw]', "topics: ['^%s.raw.*']\n    cluster_from: topic" % prefix.replace('.', r'\.'))
    done = router('run', '--once', '-c', router.write('c.yaml', 'memory_max: 4MiB\nonce_wait: 120s\n' + config))
    assert done.returncode == 0, done.stderr
    check_once_each(broker, prefix, count)


def test_three_routers_killed_again_and_again(router, broker, prefix):
    print(f'CHAOS_SEED={SEED}')
    source, pool = start(router, broker, prefix, 3)
    kill_again_and_again(pool, random.Random(SEED), ROUNDS)
    finish(pool, broker, prefix, source)
    print(f'{source.written} events, {pool.fallen} routers that ended by themselves')


def test_an_http_output_beside_it_loses_nothing(router, broker, prefix):
    """What is no part of the transactions gets everything at least once; Kafka's own output is not disturbed by it."""
    print(f'CHAOS_SEED={SEED}')
    with Collector() as collector:
        beside = ('  siem: {type: http, url: "%s", batch_events: 50, batch_wait: 20ms, spool_after: 100ms}\n'
                  % collector.url('/siem/{class}'))
        source, pool = start(router, broker, prefix, 2, beside)
        kill_again_and_again(pool, random.Random(SEED), max(2, ROUNDS // 2))

        def posted():
            return all(set(ids(collector.lines(f'/siem/{class_.lower()}'))) == wanted(source.written, class_)
                       for *_, class_ in VERBS)
        finish(pool, broker, prefix, source, posted)
        again = sum(len(lines) - len(set(lines)) for lines in (collector.lines(f'/siem/{c.lower()}') for *_, c in VERBS))
    print(f'{source.written} events, {again} of them came to the collector once more')
