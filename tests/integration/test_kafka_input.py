"""
The Kafka input against a real broker: byte for byte, in order, shared by a group, and nothing lost whatever is killed.

The long form of the chaos: `./dev chaos kafka [ROUNDS [SEED]]` (KAFKA_CHAOS_ROUNDS, CHAOS_SEED).
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
from harness import AT_END, CLASSES, PATIENCE_S, STARTED, Router, wait_for
from test_chaos import event

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS = int(os.environ.get('KAFKA_CHAOS_ROUNDS', '3'))
SEED = int(os.environ.get('CHAOS_SEED') or random.SystemRandom().randrange(1 << 30))
PARTITIONS = 6

CONFIG = '''
state_dir: state
redact: off
once_wait: 120s
cluster: own
inputs:
  raw:
    type: kafka
    brokers: {brokers}
    topics: {topic}
    group: {topic}
    properties: {{ session.timeout.ms: {session}, heartbeat.interval.ms: 300 }}
outputs:
  out: {output}
'''
FILES = '{ type: file, path: "out/{class}.ndjson" }'


@pytest.fixture
def raw(prefix, broker):
    """A topic of the test's own."""
    broker.admin('create', prefix, f'partitions={PARTITIONS}')
    return prefix


def config(broker, topic, output=FILES, session=3000):
    """session: after so many milliseconds the group goes on without a router that was killed, or given no time."""
    return CONFIG.format(brokers=broker.bootstrap, topic=topic, output=output, session=session)


def produce(broker, topic, messages, *more):
    """Each on a line."""
    subprocess.run(['kcat', '-P', '-b', broker.bootstrap, '-t', topic, '-X', 'topic.partitioner=random', *more],
                   input=b''.join(m + b'\n' for m in messages), check=True)


def lines_of(folder):
    return [line for path in sorted(folder.rglob('*.ndjson')) for line in path.read_bytes().splitlines()]


def test_real_log(router, broker, raw, audit_log):
    """An agent writes all classes to one topic, and a router makes classes of it: the same bytes, in each partition's order."""
    agent = f'''
state_dir: agent
redact: off
cluster: prod-eu1
inputs: {{ log: {{ type: file, path: {audit_log} }} }}
outputs: {{ raw: {{ type: kafka, brokers: "{broker.bootstrap}", topic: {raw}, key: object }} }}
'''
    assert router('run', '--once', '-c', router.write('agent.yaml', agent)).returncode == 0
    done = router.once(config(broker, raw, '{ type: file, path: "out/{cluster}/{class}.ndjson" }'))
    assert done.returncode == 0, done.stderr
    found = lines_of(router.folder / 'out' / 'prod-eu1')
    assert sorted(found) == sorted(audit_log.read_bytes().splitlines())
    place = {}
    for message in broker.consume(raw):
        place.setdefault(message.value, []).append((message.partition, message.offset))
    for name in CLASSES:
        last = collections.defaultdict(lambda: -1)
        for line in lines_of(router.folder / 'out' / 'prod-eu1' / f'{name.lower()}.ndjson'):
            partition, offset = place[line].pop(0)
            assert offset > last[partition]
            last[partition] = offset
    again = router.once(config(broker, raw))
    assert again.returncode == 0 and lines_of(router.folder / 'out') == found


def test_lists_and_what_is_no_event(router, broker, raw):
    items = [json.loads(event(n)) for n in range(3)]
    for item in items:
        del item['kind'], item['apiVersion']
    whole = {'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1', 'items': items}
    produce(broker, raw, [json.dumps(whole).encode(), b'no event'], '-p', '1', '-H', 'cluster=north')
    produce(broker, raw, [event(3).encode()], '-p', '1')
    done = router.once(config(broker, raw, '{ type: file, path: "out/{cluster}/{class}.ndjson" }'))
    assert done.returncode == 1
    assert f'{raw}/1:1: ' in done.stderr
    ids = {p.name: sorted(json.loads(line)['auditID'] for line in lines_of(p)) for p in (router.folder / 'out').iterdir()}
    assert ids == {'north': [f'{n:08}' for n in range(3)], 'own': [f'{3:08}']}
    again = router.once(config(broker, raw, '{ type: file, path: "again/{class}.ndjson" }'))
    assert again.returncode == 0 and not (router.folder / 'again').exists()


def test_what_was_not_delivered_is_not_committed(tmp_path, broker, raw):
    produce(broker, raw, [event(n).encode() for n in range(3000)])
    with Collector() as collector:
        collector.fail(503, seconds=600)
        router = Router(tmp_path)
        text = config(broker, raw, f'{{ type: http, url: "{collector.url()}", spool: off }}')
        process = router.start('run', '-c', router.write('c.yaml', text))
        wait_for(lambda: collector.requests)
        time.sleep(1)
        process.kill()
        process.wait()
    fresh = Router(tmp_path / 'fresh')
    assert fresh.once(config(broker, raw)).returncode == 0
    assert {json.loads(line)['auditID'] for line in lines_of(fresh.folder / 'out')} == {f'{n:08}' for n in range(3000)}


def test_retention_leaves_a_gap(router, broker, raw):
    produce(broker, raw, [event(n).encode() for n in range(10)], '-p', '0')
    assert router.once(config(broker, raw)).returncode == 0
    produce(broker, raw, [event(n).encode() for n in range(10, 30)], '-p', '0')
    broker.admin('cut', raw, '20')
    done = router.once(config(broker, raw))
    assert done.returncode == 1
    assert f'{raw}/0 offsets 10 to 19 were deleted before they were read' in done.stderr
    ids = {json.loads(line)['auditID'] for line in lines_of(router.folder / 'out')}
    assert ids == {f'{n:08}' for n in list(range(10)) + list(range(20, 30))}


class Writer(threading.Thread):
    """Writes events to the topic until it is told to end."""

    def __init__(self, broker, topic):
        super().__init__(daemon=True)
        self.kcat = subprocess.Popen(['kcat', '-P', '-b', broker.bootstrap, '-t', topic, '-X', 'topic.partitioner=random',
                                      '-X', 'linger.ms=5'], stdin=subprocess.PIPE)
        self.written = 0
        self.ending = threading.Event()
        AT_END.append(self.ending.set)
        STARTED.append(self.kcat)

    def run(self):
        while not self.ending.wait(0.02):
            self.kcat.stdin.write(''.join(event(n) + '\n' for n in range(self.written, self.written + 50)).encode())
            self.kcat.stdin.flush()
            self.written += 50

    def end(self):
        self.ending.set()
        self.join()
        self.kcat.stdin.close()
        assert self.kcat.wait(PATIENCE_S) == 0


def found_in(routers):
    """auditIDs, each as often as it is there; a last line that a kill left unfinished is not counted."""
    count = collections.Counter()
    for router in routers:
        for path in (router.folder / 'out').rglob('*.ndjson'):
            data = path.read_bytes()
            count.update(json.loads(line)['auditID'] for line in data[:data.rfind(b'\n') + 1].splitlines())
    return count


def test_a_group_loses_nothing(tmp_path, broker, raw):
    """Three routers share a topic; they are killed, stopped and started at random, and all of it is delivered by some."""
    print(f'\nrounds={ROUNDS} seed={SEED}')
    chance = random.Random(SEED)
    routers = [Router(tmp_path / str(n)) for n in range(3)]
    paths = [r.write('c.yaml', config(broker, raw)) for r in routers]
    running = [r.start('run', '-c', p) for r, p in zip(routers, paths)]
    writer = Writer(broker, raw)
    writer.start()
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.5, 2))
        n = chance.randrange(3)
        number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        running[n].send_signal(number)
        code = running[n].wait(PATIENCE_S)
        assert code == (-9 if number == signal.SIGKILL else 0)
        time.sleep(chance.uniform(0, 1))
        running[n] = routers[n].start('run', '-c', paths[n])
    writer.end()
    wanted = {f'{n:08}' for n in range(writer.written)}
    wait_for(lambda: wanted <= set(found_in(routers)))
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(PATIENCE_S) for process in running] == [0, 0, 0]
    count = found_in(routers)
    assert set(count) == wanted
    print(f'{len(wanted)} events, {sum(count.values()) - len(wanted)} of them came once more')
    last = Router(tmp_path / 'last')
    assert last.once(config(broker, raw)).returncode == 0
    assert not lines_of(last.folder), 'all was committed'


def test_a_rebalance_doubles_nothing(tmp_path, broker, raw):
    """
    Routers that come and go as they should: each event once. librdkafka sometimes takes a second rebalance within the first for
    the loss of all partitions, and the router says so: then some come once more.
    """
    routers = [Router(tmp_path / str(n)) for n in range(3)]
    writer = Writer(broker, raw)
    writer.start()
    running = []
    for router in routers:
        running.append(router.start('run', '-c', router.write('c.yaml', config(broker, raw, session=60000))))
        wait_for(lambda r=router: lines_of(r.folder))
        time.sleep(1.5)
    running[0].send_signal(signal.SIGTERM)
    assert running[0].wait(PATIENCE_S) == 0
    time.sleep(1)
    writer.end()
    wait_for(lambda: len(found_in(routers)) == writer.written)
    for process in running[1:]:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    count = found_in(routers)
    lost = [line for r in routers for line in (r.folder / 'stderr').read_text().splitlines() if 'went on without' in line]
    assert len(count) == writer.written
    assert lost or sum(count.values()) == writer.written
