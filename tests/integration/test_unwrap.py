"""Events that already went through Google, AWS or Azure: what comes in wrapped goes out as the bytes that the API server wrote,
LogEntries go out as they came, in the class that their log has, and the parts of a split one together."""
import collections
import gzip
import http.client
import json
import random
import signal
import threading
import time

import pytest

import clouds
from collector import Collector
from harness import CLASSES, PATIENCE_S, TOP, wait_for, whole_lines
from test_webhook import Hook

CONFIG = """\
state_dir: state
redact: off
inputs: { log: { type: file, path: audit.log } }
outputs: { files: { type: file, path: 'out/{class}' } }
"""


def files_of(router):
    return {c: (router.folder / 'out' / c.lower()).read_bytes() if (router.folder / 'out' / c.lower()).exists() else b'' for c in CLASSES}


@pytest.fixture(scope='module')
def recorded():
    return gzip.decompress((TOP / 'tests/data/audit.log.gz').read_bytes()).splitlines()


@pytest.fixture(scope='module')
def by_class(recorded, tmp_path_factory):
    """What comes out of the recorded log as it is."""
    from harness import Router
    router = Router(tmp_path_factory.mktemp('plain'))
    router.write('audit.log', b'\n'.join(recorded) + b'\n')
    assert router.once(CONFIG).returncode == 0
    return files_of(router)


WRAPPERS = {
    'eks': lambda events: map(clouds.eks, events),
    'eks_export': lambda events: map(clouds.eks_export, events),
    'eks_documents': clouds.eks_documents,
    'eks_answers': clouds.eks_answers,
    'aks': lambda events: map(clouds.aks, events),
    'aks_records': clouds.aks_records,
}


@pytest.mark.slow
@pytest.mark.parametrize('name', ('eks', 'eks_documents', 'aks'))
def test_9000_wrapped_events_come_out_byte_for_byte(router, recorded, by_class, name):
    router.write('audit.log', b'\n'.join(WRAPPERS[name](recorded)) + b'\n')
    done = router.once(CONFIG)
    assert done.returncode == 0, done.stderr
    assert files_of(router) == by_class


@pytest.mark.parametrize('name', WRAPPERS)
def test_wrapped_events_come_out_byte_for_byte(router, recorded, name):
    router.write('audit.log', b'\n'.join(WRAPPERS[name](recorded[4000:4900])) + b'\n')
    done = router.once(CONFIG)
    assert done.returncode == 0, done.stderr
    assert collections.Counter(line for lines in files_of(router).values() for line in lines.splitlines()) == collections.Counter(recorded[4000:4900])


def test_wrapped_events_on_stdin_and_for_commands(router, recorded):
    plain = router.write('plain', b'\n'.join(recorded[:500]) + b'\n')
    wrapped = router.write('wrapped', b'\n'.join(map(clouds.aks, recorded[:500])) + b'\n')
    policy = TOP / 'config/policies/minimal-cost.yaml'
    for command in (['classify'], ['classify', '--summary'], ['policy', 'explain', '-p', policy], ['policy', 'apply', '-p', policy]):
        expected, got = router(*command, plain), router(*command, wrapped)
        assert (got.returncode, got.stdout) == (expected.returncode, expected.stdout) == (0, expected.stdout), command
        assert got.stdout
    done = router.once(CONFIG.replace('type: file, path: audit.log', 'type: stdin'), stdin=wrapped.read_bytes())
    assert done.returncode == 0, done.stderr
    assert sum(len(lines.splitlines()) for lines in files_of(router).values()) == 500


# ---- Google ----

def cases():
    for text in (TOP / 'tests/data/gke-cases.ndjson').read_text().splitlines():
        case = json.loads(text)
        ref = {'apiGroup': case['apiGroup'], 'apiVersion': case['apiVersion'], 'resource': case['resource'], 'namespace': case['namespace'],
               'subresource': case['subresource'], 'name': 'x'} if case['resource'] else None
        entry = clouds.log_entry({'auditID': case['name'], 'verb': case['verb'], 'user': {'username': case['user'] or 'u'}, 'objectRef': ref},
                                 log=case['log'])
        payload = entry['protoPayload']
        payload['methodName'] = case['methodName']
        if case['resourceName'] is not None:
            payload['resourceName'] = case['resourceName']
        if case.get('rpcCode') is not None:
            payload['status'] = {'code': case['rpcCode']}
        yield case, entry


@pytest.mark.parametrize('named', (True, False), ids=('with resourceName', 'methodName alone'))
def test_the_class_is_that_of_the_real_entries(router, named):
    """74 of 74, and no one of them because the log overruled the rules; not even where the method alone says what it was."""
    expected, lines = [], []
    for case, entry in cases():
        if not named and 'preview' not in case['name']:
            entry['protoPayload'].pop('resourceName')
        expected.append((case['name'], case['class']))
        lines.append(clouds.line(entry))
    done = router('classify', stdin=b'\n'.join(lines))
    got = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(got) == 74
    assert [(g['auditID'], g['class']) for g in got] == expected
    assert not [g for g in got if g['rule'].startswith('gcp-')]
    assert {g['stage'] for g in got} == {''}


def test_the_log_overrules_the_rules(router):
    lines = [clouds.line(clouds.log_entry({'auditID': 'a', 'verb': verb, 'user': {}, 'objectRef': {'resource': 'pods'}}, log=log))
             for verb in ('create', 'list') for log in ('activity', 'data_access')]
    got = [json.loads(line) for line in router('classify', stdin=b'\n'.join(lines)).stdout.splitlines()]
    assert [(g['class'], g['rule']) for g in got] == [('ADMIN_ACTIVITY', 'write'), ('DATA_WRITE', 'gcp-data-access-write'),
                                                      ('ADMIN_ACTIVITY', 'gcp-activity'), ('ADMIN_READ', 'read')]


def entries_of(recorded, n):
    for i, text in enumerate(recorded[:n]):
        event = json.loads(text.decode(errors='replace'), strict=False)
        yield event, {**clouds.log_entry(event), 'insertId': str(i)}


def test_log_entries_pass_as_they_came(router, recorded):
    """To files, and to a collector that is down at first, so that they go through a spool: every byte of every entry, and its class."""
    entries = [clouds.line(entry).replace(b'"project_id":"p"', b'"project_id" : "\\u0070"') for _, entry in entries_of(recorded, 2000)]
    router.write('audit.log', b'\n'.join(entries) + b'\n')
    with Collector() as c:
        c.fail(503, seconds=2)
        siem = f'  siem: {{ type: http, url: "{c.url("/{class}")}", retry_min: 10ms, retry_max: 100ms, spool_after: 100ms }}\n'
        done = router.once(CONFIG.replace("outputs: { files: { type: file, path: 'out/{class}' } }\n",
                                          "outputs:\n  files: { type: file, path: 'out/{class}' }\n" + siem))
        assert done.returncode == 0, done.stderr
        sent = {k: c.lines('/' + k.lower()) for k in CLASSES}
    out = files_of(router)
    assert collections.Counter(line for lines in out.values() for line in lines.splitlines()) == collections.Counter(entries)
    assert b'%2Factivity' not in out['ADMIN_READ'] + out['DATA_READ'] + out['DATA_WRITE'] and b'%2Fdata_access' not in out['ADMIN_ACTIVITY']
    assert {k: sorted(lines.splitlines()) for k, lines in out.items()} == {k: sorted(lines) for k, lines in sent.items()}


def test_policies_and_the_size_ladder_cut_log_entries(router, recorded):
    entries = [entry for _, entry in entries_of(recorded, 2000)]
    router.write('audit.log', b'\n'.join(map(clouds.line, entries)) + b'\n')
    router.write('policy.yaml', 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [ { level: Metadata, verbs: [create] }, { level: RequestResponse } ]\n')
    done = router.once(CONFIG.replace("'out/{class}' }", "'out/{class}', max_event_bytes: 2KiB }") + 'policy: policy.yaml\n')
    assert done.returncode in (0, 1), done.stderr
    got = {e['insertId']: e for lines in files_of(router).values() for e in map(json.loads, lines.splitlines())}
    cut = {'policy': 0, 'ladder': 0}
    for entry in entries:
        after = got.get(entry['insertId'])
        if not after:  # at its smallest it was too large
            continue
        payload = entry['protoPayload']
        if payload['methodName'].endswith('.create'):
            cut['policy'] += 'request' in payload
            assert not {'request', 'response'} & set(after['protoPayload'])
            for body in ('request', 'response'):
                payload.pop(body, None)
        if after.get('labels', {}).get('audit.k8s.io/truncated'):
            cut['ladder'] += 1
            after['labels'].pop('audit.k8s.io/truncated')
            assert len(clouds.line(after)) <= 2048
            for body in ('request', 'response'):
                payload.pop(body, None)
                after['protoPayload'].pop(body, None)
        assert after == entry
    assert cut['policy'] > 50 and cut['ladder'] > 50, cut


def test_what_is_no_audit_event_is_named(router):
    entry = clouds.log_entry({'auditID': 'a', 'verb': 'get', 'user': {}, 'objectRef': {'resource': 'pods'}})
    entry['protoPayload']['serviceName'] = 'container.googleapis.com'
    lines = [clouds.line(entry), b'{"logName":"projects/p/logs/stdout","textPayload":"hello"}', clouds.eks(b'I1121 a log of the scheduler'),
             b'{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health"}]}',
             clouds.aks(b'level=info msg="another category"'), clouds.eks(clouds.eks(b'{}'))]
    router.write('audit.log', b'\n'.join(lines) + b'\n')
    done = router.once(CONFIG)
    assert done.returncode == 1
    letters = [json.loads(line) for line in (router.folder / 'state/dead-letters/inputs.ndjson').read_text().splitlines()]
    assert [letter['code'] for letter in letters] == ['not_an_event'] * 6
    for letter, word in zip(letters, ('k8s.io', 'no audit log', 'CloudWatch', 'control message', 'Azure', 'CloudWatch')):
        assert word in letter['reason'], letter


def test_a_refused_log_entry_is_replayed(router, recorded):
    entries = [clouds.line(entry) for _, entry in entries_of(recorded, 20)]
    router.write('audit.log', b'\n'.join(entries) + b'\n')
    with Collector() as c:
        config = CONFIG.replace("files: { type: file, path: 'out/{class}' }", f'siem: {{ type: http, url: "{c.url("/all")}", batch_events: 1, in_flight: 1 }}')
        c.fail(400, times=20)
        assert router.once(config).returncode == 1
        letters = router.folder / 'state/dead-letters/outputs/siem.ndjson'
        assert len(letters.read_text().splitlines()) == 20
        assert router('replay', '-c', 'audit-router.yaml', letters).returncode == 0
        assert sorted(c.lines('/all')) == sorted(entries)


def test_the_webhook_takes_them_too(router, recorded):
    hook = Hook(router)
    body = b'\n'.join([clouds.line(entry) for _, entry in entries_of(recorded, 50)] + [next(clouds.eks_documents(recorded[50:70]))])
    connection = http.client.HTTPConnection('127.0.0.1', hook.port, timeout=30)
    connection.request('POST', '/', body)
    assert connection.getresponse().status == 200
    hook.process.send_signal(signal.SIGTERM)
    assert hook.process.wait(PATIENCE_S) == 0
    out = [line for p in (router.folder / 'out').iterdir() for line in p.read_bytes().splitlines()]
    assert sorted(out) == sorted([clouds.line(entry) for _, entry in entries_of(recorded, 50)] + recorded[50:70])


# ---- split entries ----

def parts_of(number, total):
    """An entry in so many parts: pieces of one string, as Google splits them."""
    event = {'auditID': f'split-{number}', 'verb': ('create', 'list')[number % 2], 'user': {'username': 'u'}, 'objectRef': {'resource': 'pods', 'name': 'x'}}
    for index in range(total):
        entry = clouds.log_entry(event, split=(f'uid-{number}', index, total))
        entry['protoPayload']['request'] = {'@type': 'core.k8s.io/v1.Pod', 'text': f'{index:05}' * 50}
        yield clouds.line(entry)


def whole(number):
    return clouds.line(clouds.log_entry({'auditID': f'whole-{number}', 'verb': 'list', 'user': {'username': 'u'}, 'objectRef': {'resource': 'pods'}}))


def runs(lines):
    """(uid, indexes) of parts that stand side by side."""
    last, found = None, []
    for entry in map(json.loads, lines.splitlines()):
        uid = entry.get('split', {}).get('uid')
        if uid and uid == last:
            found[-1][1].append(entry['split']['index'])
        elif uid:
            found.append((uid, [entry['split']['index']]))
        last = uid
    return found


def test_parts_leave_together_and_in_order(router):
    """Shuffled over a few hundred lines, twice as many plain ones between them: nothing is lost, nothing else moves."""
    shuffle = random.Random(3)
    totals = {n: 2 + n % 5 for n in range(200)}
    parts = [part for n, total in totals.items() for part in parts_of(n, total)]
    lines, i = [], 0
    for start in range(0, len(parts), 100):
        block = parts[start:start + 100] + [whole(i + k) for k in range(200)]
        shuffle.shuffle(block)
        lines += block
        i += 200
    lines += list(parts_of(1000, 4))[1:]  # one that never comes
    router.write('audit.log', b'\n'.join(lines) + b'\n')
    done = router.once(CONFIG)
    assert done.returncode == 0, done.stderr
    assert 'split log entries: 200 with all their parts, 3 parts without the others' in done.stderr
    out = files_of(router)
    assert collections.Counter(line for o in out.values() for line in o.splitlines()) == collections.Counter(lines)
    found = dict(run for o in out.values() for run in runs(o))
    assert found.pop('uid-1000') == [1, 2, 3]
    assert found == {f'uid-{n}': list(range(total)) for n, total in totals.items()}
    plain = [line for line in lines if b'whole-' in line]
    assert [line for line in out['ADMIN_READ'].splitlines() if b'whole-' in line] == plain


def test_a_part_that_waits_is_something_in_a_body(router):
    """A body of it and a broken line is no body without an event; one of a broken line alone is, though it lets others' parts go."""
    hook, answers = Hook(router), {}

    def post(name, body):
        answers[name] = hook.post(body)[0]
    first, second = parts_of(1, 2)
    posts = [threading.Thread(target=post, args=('both', first + b'\nbroken\n')), threading.Thread(target=post, args=('broken', b'{"a":1}'))]
    for i, thread in enumerate(posts):
        thread.start()
        wait_for(lambda n=i + 1: len(hook.dead()) == n, 'its dead letter')
    post('second', second)
    for thread in posts:
        thread.join(PATIENCE_S)
    assert answers == {'both': 200, 'broken': 400, 'second': 200}
    hook.end()


def follow(router):
    router.write('audit-router.yaml', CONFIG)
    return router.start('run', '-c', 'audit-router.yaml')


def arrived(router):
    """While it is being written, too."""
    return collections.Counter(line for c in CLASSES for line in whole_lines(router.folder / 'out' / c.lower()))


@pytest.mark.slow
def test_what_never_completes_leaves_in_time(router):
    log = router.write('audit.log', b'\n'.join([whole(1), *list(parts_of(1, 3))[:2], whole(2)]) + b'\n')
    process = follow(router)
    wait_for(lambda: sum(arrived(router).values()) >= 2, 'the plain ones')
    # held: else they would have come before the second plain one
    assert set(arrived(router)) == {whole(1), whole(2)}
    wait_for(lambda: sum(arrived(router).values()) == 4, 'the parts')
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert arrived(router) == collections.Counter(log.read_bytes().splitlines())
    process = follow(router)  # and nothing comes again
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert arrived(router) == collections.Counter(log.read_bytes().splitlines())


def test_a_stop_holds_nothing_back(router):
    log = router.write('audit.log', b'\n'.join([whole(1), *list(parts_of(1, 3))[:2], whole(2)]) + b'\n')
    process = follow(router)
    wait_for(lambda: sum(arrived(router).values()) == 2, 'the plain ones')
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert arrived(router) == collections.Counter(log.read_bytes().splitlines())
    process = follow(router)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert arrived(router) == collections.Counter(log.read_bytes().splitlines())


@pytest.mark.parametrize('seed', range(2))
def test_kill_loses_no_part(router, seed):
    """Killed whenever parts are held, several times, while the log grows: each line arrives, and the parts of each entry together."""
    chance = random.Random(seed)
    log = router.write('audit.log', b'')
    written, totals = [], {}

    def append(lines):
        written.extend(lines)
        with open(log, 'ab') as out:
            out.write(b'\n'.join(lines) + b'\n')

    waiting, begun, seen = [], {}, {}
    for turn in range(4):
        process = follow(router)
        for step in range(8):
            number = turn * 8 + step
            totals[number], begun[number] = 2 + number % 4, time.monotonic()
            waiting += [(chance.random(), number, part) for part in parts_of(number, totals[number])]
            waiting.sort()
            cut = len(waiting) * 2 // 3
            append([part for _, _, part in waiting[:cut]] + [whole(number * 30 + i) for i in range(30)])
            waiting = waiting[cut:]
            time.sleep(chance.random() * 0.05)
        wait_for(lambda: sum(b'whole-' in line for line in arrived(router)) == (turn + 1) * 240, 'the plain ones')
        held = {number for _, number, _ in waiting}
        seen.update((number, time.monotonic()) for number in totals if number not in held and number not in seen)
        process.kill()
        process.wait()
    append([part for _, _, part in waiting] + [whole(10 ** 6)])
    process = follow(router)
    wait_for(lambda: not set(written) - set(arrived(router)), 'all of it')
    seen.update((number, time.monotonic()) for number in totals if number not in seen)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert not set(arrived(router)) - set(written)
    together = collections.defaultdict(list)
    for lines in files_of(router).values():
        for uid, indexes in runs(lines):
            together[uid].append(indexes)
    # Parts wait for five seconds: on a machine that needs longer for all this, some may have left alone.
    in_time = [number for number in totals if seen[number] - begun[number] < 5]
    print(f'{len(in_time)} of {len(totals)} entries were written within the time that parts wait')
    for number in in_time:
        assert list(range(totals[number])) in together[f'uid-{number}'], (number, together[f'uid-{number}'])
