"""The Kafka output against a real broker, read back by kcat."""
import collections
import http.client
import json
import os
import subprocess
import threading
import time

import pytest

from harness import AT_END, CLASSES, PATIENCE_S, wait_for
from ports import free_port

pytestmark = [pytest.mark.broker, pytest.mark.slow]

AWAY_S = float(os.environ.get('BROKER_AWAY_S', '2'))   # ./dev chaos: minutes

CONFIG = '''
cluster: prod-eu1
state_dir: state
redact: off
once_wait: {once_wait}
inputs:
  log: {input}
outputs:
  kafka:
    type: kafka
    brokers: {brokers}
    topic: {prefix}.{{class}}
{more}
'''


def config(brokers, prefix, log, more='', once_wait='120s'):
    source = '{ type: stdin }' if log is None else f'{{ type: file, path: {log} }}'
    indented = ''.join(f'    {line}\n' for line in more.splitlines())
    return CONFIG.format(brokers=brokers, prefix=prefix, input=source, more=indented, once_wait=once_wait)


def split(router, log):
    """{class: [(line, auditID, rule)]} as `classify` has it."""
    lines = log.read_bytes().splitlines()
    verdicts = router('classify', log).stdout.splitlines()
    assert len(lines) == len(verdicts)
    classes = collections.defaultdict(list)
    for line, verdict in zip(lines, map(json.loads, verdicts)):
        classes[verdict['class']].append((line, verdict['auditID'], verdict['rule']))
    return classes


def topic(prefix, name):
    return f'{prefix}.{name.lower()}'


def check_topic(messages, expected, name):
    """Each event once, byte for byte, with its key and headers, in order within a partition."""
    by_seq = {int(m.headers['seq']): m for m in messages}
    assert len(by_seq) == len(messages) == len(expected)
    for m, (line, audit_id, rule) in zip((by_seq[seq] for seq in sorted(by_seq)), expected):
        assert m.value == line
        assert m.key == audit_id.encode()
        assert m.headers['class'] == name
        assert m.headers['rule'] == rule
        assert m.headers['cluster'] == 'prod-eu1'
    last = collections.defaultdict(int)
    for m in messages:
        assert int(m.headers['seq']) >= last[m.partition], 'order'
        last[m.partition] = int(m.headers['seq'])


def check_all(broker, prefix, classes):
    for name in CLASSES:
        check_topic(broker.consume(topic(prefix, name)), classes[name], name)


def end_of(process, seconds=PATIENCE_S):
    try:
        return process.wait(seconds)
    finally:
        process.kill()


def test_real_log(router, broker, prefix, audit_log):
    more = 'partitions: 3\nretention: { ADMIN_ACTIVITY: 400d, ADMIN_READ: 30d, DATA_READ: forever }'
    done = router.once(config(broker.bootstrap, prefix, audit_log, more))
    assert done.returncode == 0, done.stderr
    check_all(broker, prefix, split(router, audit_log))
    wanted = {'ADMIN_ACTIVITY': '34560000000', 'ADMIN_READ': '2592000000', 'DATA_READ': '-1', 'DATA_WRITE': '604800000'}
    for name in CLASSES:
        found = broker.admin('describe', topic(prefix, name))
        assert found['partitions'] == '3'
        assert found['retention.ms'] == wanted[name]


def offset_sum(broker, prefix):
    """Messages of all classes, as far as they were stored."""
    total = 0
    for name in CLASSES:
        done = subprocess.run(['kcat', '-b', broker.bootstrap, '-Q', '-t', f'{topic(prefix, name)}:0:-1'], capture_output=True,
                              check=False)
        words = done.stdout.decode().split()
        total += int(words[-1]) if words and words[-1].isdigit() else 0
    return total


def feed(pipe, text, gone):
    """In pieces, and slowly until the broker is gone: there is always something under way when it goes."""
    pieces = [text[at:at + 65536] for at in range(0, len(text), 65536)]
    for i, piece in enumerate(pieces):
        pipe.write(piece)
        gone.wait(None if i == len(pieces) // 2 else 0.01)
    pipe.close()


@pytest.mark.parametrize('how', ['stop', 'kill'])
def test_broker_away_during_the_run(router, broker, prefix, generated_log, how):
    log, gone = generated_log('30MB'), threading.Event()
    AT_END.append(gone.set)
    path = router.write('c.yaml', config(broker.bootstrap, prefix, None, 'partitions: 1', once_wait=f'{120 + AWAY_S:.0f}s'))
    process = router.start('run', '--once', '-c', path, stdin=subprocess.PIPE)
    feeder = threading.Thread(target=feed, args=(process.stdin, log.read_bytes(), gone), daemon=True)
    feeder.start()
    wait_for(lambda: offset_sum(broker, prefix) > 0)
    getattr(broker, how)()
    gone.set()
    time.sleep(AWAY_S)      # how long it is away, not a wait for something
    broker.start()
    assert end_of(process) == 0, (router.folder / 'stderr').read_text()
    feeder.join()
    check_all(broker, prefix, split(router, log))


def test_broker_that_comes_late(router, broker, prefix, audit_log):
    broker.stop()
    process = router.start('run', '--once', '-c',
                           router.write('c.yaml', config(broker.bootstrap, prefix, audit_log, 'retention: 2d')))
    wait_for(lambda: 'onnection refused' in (router.folder / 'stderr').read_text())
    broker.start()
    assert end_of(process) == 0, (router.folder / 'stderr').read_text()
    check_all(broker, prefix, split(router, audit_log))
    assert broker.admin('describe', topic(prefix, 'DATA_READ'))['retention.ms'] == str(2 * 86400 * 1000)


def test_topic_deleted_during_the_run(router, broker, prefix, audit_log):
    lines = audit_log.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    parts = [router.write('1', b''.join(lines[:half])), router.write('2', b''.join(lines[half:]))]
    path = router.write('c.yaml', config(broker.bootstrap, prefix, None, 'partitions: 2'))
    process = router.start('run', '--once', '-c', path, stdin=subprocess.PIPE)
    first, second = (split(router, part) for part in parts)
    process.stdin.write(parts[0].read_bytes())
    process.stdin.flush()
    name = topic(prefix, 'ADMIN_READ')
    # What a reader of lines has not seen the end of stays behind: the last chunk may wait for more.
    wait_for(lambda: name in broker.topics() and len(broker.consume(name)) > 0)
    broker.admin('delete', name)
    process.stdin.write(parts[1].read_bytes())
    process.stdin.close()
    assert end_of(process) == 0, (router.folder / 'stderr').read_text()
    lost_with_the_topic = {line for line, _, _ in first['ADMIN_READ']}
    found = [m.value for m in broker.consume(name)]
    assert len(found) == len(set(m.headers['seq'] for m in broker.consume(name)))
    assert {line for line, _, _ in second['ADMIN_READ']} - lost_with_the_topic <= set(found)
    for other in CLASSES:
        if other != 'ADMIN_READ':
            check_topic(broker.consume(topic(prefix, other)), first[other] + second[other], other)


def test_writing_forbidden_for_a_while(router, broker, prefix, audit_log):
    name = topic(prefix, 'DATA_WRITE')
    broker.admin('create', name)
    broker.admin('deny', name)
    process = router.start('run', '--once', '-c', router.write('c.yaml', config(broker.bootstrap, prefix, audit_log)))
    wait_for(lambda: 'uthorization failed' in (router.folder / 'stderr').read_text())
    broker.admin('allow', name)
    assert end_of(process) == 0, (router.folder / 'stderr').read_text()
    check_all(broker, prefix, split(router, audit_log))


def test_unknown_broker(router, prefix, audit_log):
    text = config('nowhere.invalid:9092', prefix, audit_log, once_wait='5s') + '''
  archive:
    type: file
    path: archive/{class}.ndjson
'''
    done = router.once(text)
    assert done.returncode == 1
    assert 'nowhere.invalid' in done.stderr
    for name, events in split(router, audit_log).items():
        archived = (router.folder / 'archive' / f'{name.lower()}.ndjson').read_bytes().splitlines()
        assert archived == [line for line, _, _ in events]


def test_existing_topic_is_left_alone(router, broker, prefix, audit_log):
    name = topic(prefix, 'DATA_READ')
    broker.admin('create', name, 'partitions=3', 'retention.ms=86400000')
    done = router.once(config(broker.bootstrap, prefix, audit_log, 'partitions: 2\nretention: 30d'))
    assert done.returncode == 0, done.stderr
    assert f'topic {name} exists with retention.ms=86400000, not 2592000000' in done.stderr
    assert f'topic {name} exists with 3 partitions, not 2' in done.stderr
    found = broker.admin('describe', name)
    assert (found['partitions'], found['retention.ms']) == ('3', '86400000')
    check_all(broker, prefix, split(router, audit_log))


def test_topic_that_takes_little(router, broker, prefix, audit_log):
    """Sets of messages are refused whole; only events that are too large by themselves become dead letters."""
    for name in CLASSES:
        broker.admin('create', topic(prefix, name), 'max.message.bytes=6000')
    done = router.once(config(broker.bootstrap, prefix, audit_log))
    assert done.returncode == 1
    letters = [json.loads(line) for line in (router.folder / 'state/dead-letters/outputs/kafka.ndjson').read_text().splitlines()]
    assert letters and {letter['code'] for letter in letters} == {'too_large'}
    found = {name: broker.consume(topic(prefix, name)) for name in CLASSES}
    expected = split(router, audit_log)
    assert sum(map(len, found.values())) + len(letters) == sum(map(len, expected.values()))
    for name in CLASSES:
        lines = {line for line, _, _ in expected[name]}
        assert {m.value for m in found[name]} <= lines
        delivered = {m.value for m in found[name]}
        assert all(len(line) > 6000 for line in lines - delivered)


def test_embedded(router, prefix, audit_log):
    done = router.once(config('embedded', prefix, audit_log))
    assert done.returncode == 0, done.stderr
    assert 'embedded Kafka at 127.0.0.1:' in done.stderr


def test_replayed_events_are_no_copies_by_their_numbers(router, broker, prefix):
    """A reader that drops what has the number of an event before keeps them: each replay is an epoch."""
    event = {'kind': 'Event', 'stage': 'ResponseComplete', 'verb': 'create', 'auditID': 'logged'}
    router.write('audit.log', json.dumps(event) + '\n')
    assert router.once(config(broker.bootstrap, prefix, router.folder / 'audit.log')).returncode == 0
    for i in range(2):
        letter = {'code': 'too_large', 'input': 'log', 'output': 'kafka', 'event': {**event, 'auditID': f'replayed-{i}'}}
        assert router('replay', '-c', 'audit-router.yaml', router.write('letters', json.dumps(letter) + '\n')).returncode == 0
    messages = broker.consume(topic(prefix, 'ADMIN_ACTIVITY'))
    numbers = {json.loads(m.value)['auditID']: (int(m.headers.get('epoch', 0)), int(m.headers['seq'])) for m in messages}
    assert numbers['logged'] == (0, 0)
    assert 0 < numbers['replayed-0'][0] < numbers['replayed-1'][0]


def test_a_webhook_numbers_by_epoch(router, broker, prefix):
    """Its numbers begin anew with each start, under a later epoch; together they leave no gap."""
    text = config(broker.bootstrap, prefix, None, 'partitions: 1\nclasses: [ADMIN_READ]')
    port = free_port()
    path = router.write('c.yaml', 'data_access: { DATA_READ: off, DATA_WRITE: off }\n' + text.replace(
        '{ type: stdin }', f"{{ type: webhook, listen: '127.0.0.1:{port}' }}").replace(
        'outputs:', 'outputs:\n  changes: { type: file, path: changes.ndjson, classes: [ADMIN_ACTIVITY] }'))
    number = 0
    for run in range(2):
        process = router.start('run', '-c', path)
        try:
            for _ in range(3):
                body = json.dumps({'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1', 'items': [
                    {'stage': 'ResponseComplete', 'verb': 'list', 'auditID': str(number), 'objectRef': {'resource': 'pods'}}]})
                number += 1

                def posted(body=body):
                    try:
                        c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
                        c.request('POST', '/', body, {'Content-Type': 'application/json'})
                        return c.getresponse().status == 200
                    except ConnectionRefusedError:
                        assert process.poll() is None
                        return False
                wait_for(posted)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    messages = sorted(broker.consume(topic(prefix, 'ADMIN_READ')), key=lambda m: m.offset)
    numbers = [(int(m.headers['epoch']), int(m.headers['seq'])) for m in messages]
    assert [json.loads(m.value)['auditID'] for m in messages] == [str(i) for i in range(number)]
    assert numbers == sorted(numbers)
    assert [n for _, n in numbers] == [0, 1, 2, 0, 1, 2]
    assert len({epoch for epoch, _ in numbers}) == 2
