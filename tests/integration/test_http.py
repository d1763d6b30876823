"""The HTTP output of the real program against collector.py: each event arrives, whatever the collector does."""
import collections
import json
import re
import subprocess
import sys
import time

import pytest

from collector import Collector
from harness import CLASSES, PATIENCE_S, STARTED, TOP, make_certificates

HEAD = """\
cluster: prod eu1
state_dir: state
redact: off
once_wait: 120s
inputs:
  log: {{ type: file, path: '{log}' }}
outputs:
  siem:
    type: http
    url: {url}/{{class}}
    retry_min: 10ms
    retry_max: 100ms
"""
ENV = {name: '' for name in ('http_proxy', 'https_proxy', 'all_proxy')}


def classes_of(router, log):
    """What each class must get: lines, in order."""
    done = router('classify', log)
    assert done.returncode == 0, done.stderr
    expected = {c: [] for c in CLASSES}
    lines = log.read_bytes().splitlines()
    verdicts = done.stdout.splitlines()
    assert len(lines) == len(verdicts)
    for line, verdict in zip(lines, verdicts):
        expected[json.loads(verdict)['class']].append(line)
    return expected


@pytest.fixture
def small_log(tmp_path, audit_log):
    """The first 1,500 events of the recorded log."""
    path = tmp_path / 'small.log'
    path.write_bytes(b''.join(audit_log.read_bytes().splitlines(keepends=True)[:1500]))
    return path


def run(router, collector, log, more='', code=0):
    done = router.once(HEAD.format(log=log, url=collector.url()) + more, env=ENV)
    assert done.returncode == code, done.stderr
    return done


def path_of(class_):
    return '/' + class_.lower()


def assert_byte_for_byte(router, collector, log):
    for class_, lines in classes_of(router, log).items():
        assert collector.lines(path_of(class_)) == lines, class_


def assert_each_arrived(router, collector, log, missing=()):
    """All of a class' events, and no other's; some may have come again."""
    for class_, lines in classes_of(router, log).items():
        wanted = set(lines) - set(missing)
        assert set(collector.lines(path_of(class_))) == wanted, class_


@pytest.mark.parametrize('compression', ['none', 'gzip', 'zstd'])
def test_byte_for_byte_and_in_order(router, audit_log, compression):
    with Collector() as c:
        done = run(router, c, audit_log, f'    in_flight: 1\n    compression: {compression}\n')
        assert_byte_for_byte(router, c, audit_log)
    # on a machine that is busy the collector may be too slow for a lane to go without its spool
    assert not [w for w in done.stderr.splitlines() if 'level=warn' in w and 'falls behind' not in w]


def test_in_flight_2_loses_and_doubles_nothing(router, audit_log):
    with Collector() as c:
        run(router, c, audit_log, '    batch_events: 50\n')
        for class_, lines in classes_of(router, audit_log).items():
            assert collections.Counter(c.lines(path_of(class_))) == collections.Counter(lines)


def test_json_arrays(router, small_log):
    with Collector() as c:
        run(router, c, small_log, '    format: json\n    in_flight: 1\n')
        for class_, lines in classes_of(router, small_log).items():
            got = [event for body in c.bodies(path_of(class_)) for event in json.loads(body)]
            assert got == [json.loads(line) for line in lines]


def test_headers_and_credentials(router, small_log):
    more = ('    headers: { X-Cluster: "{cluster}", X-Class: "{class}" }\n'
            '    auth: { type: header, header: Authorization, scheme: Splunk, token: "${HEC_TOKEN}" }\n')
    with Collector(authorization='Splunk s3cret') as c:
        config = HEAD.format(log=small_log, url=c.url()) + more
        done = router.once(config, env={**ENV, 'HEC_TOKEN': 's3cret'})
        assert done.returncode == 0, done.stderr
        assert_each_arrived(router, c, small_log)
        for path, status, headers, _ in c.requests:
            assert status == 200
            assert headers['X-Cluster'] == 'prod eu1' and '/' + headers['X-Class'] == path
            assert headers['Content-Type'] == 'application/x-ndjson' and 'Expect' not in headers
            assert re.fullmatch(r'audit-router/[\d.]+', headers['User-Agent'])
    assert 's3cret' not in done.stderr


def test_each_cluster_has_its_own_address_and_headers(router):
    """Of an input that has a cluster of its own too: the collector must not take one cluster's events for another's."""
    with Collector() as c:
        names = {'a': 'prod eu1', 'b': 'west/2'}
        for name in names:
            router.write(f'{name}.log', ''.join('{"stage":"ResponseComplete","verb":"create","auditID":"%s%d"}\n' % (name, i) for i in range(50)))
        done = router.once(f"""\
state_dir: state
cluster: prod eu1
redact: off
inputs:
  a: {{ type: file, path: a.log }}
  b: {{ type: file, path: b.log, cluster: west/2 }}
outputs:
  siem: {{ type: http, url: "{c.url()}/{{cluster}}", headers: {{ X-Cluster: "{{cluster}}" }}, batch_wait: 10ms }}
""", env=ENV)
        assert done.returncode == 0, done.stderr
        for name, cluster in names.items():
            path = '/' + cluster.replace('/', '%2F').replace(' ', '%20')
            assert c.lines(path) == (router.folder / f'{name}.log').read_bytes().splitlines()
            assert {headers['X-Cluster'] for at, _, headers, _ in c.requests if at == path} == {cluster}


def test_a_cluster_is_no_host(router):
    text = HEAD.format(log='x', url='https://{cluster}.example')
    done = router('check', '-c', router.write('c.yaml', text), env=ENV)
    assert done.returncode == 1
    assert "{cluster} in the host" in done.stderr


FAULTS = {
    '503 with Retry-After': lambda c: c.fail(503, times=3, retry_after=1),
    '429': lambda c: c.fail(429, times=5),
    '401 for a while': lambda c: c.fail(401, times=2),
    '404 for a while': lambda c: c.fail(404, times=2),
    '302 for a while': lambda c: c.fail(302, times=2),
    'reset': lambda c: c.reset(times=4),
    'slow': lambda c: c.delay(0.2, times=6),
    'stored, but the answer lost': lambda c: c.lose_answers(times=4),
    'an answer without end': lambda c: c.endless(times=2),
    'too slow': lambda c: c.delay(3, times=1),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults_lose_nothing(router, small_log, fault):
    with Collector() as c:
        FAULTS[fault](c)
        run(router, c, small_log, '    batch_events: 100\n    timeout: 2s\n')
        if fault == 'an answer without end':
            return  # the collector says 200 and stores nothing: that the run ends is what counts
        assert_each_arrived(router, c, small_log)


@pytest.mark.parametrize('rude', [False, True])
def test_413_splits(router, small_log, rude):
    limit = max(len(line) for line in small_log.read_bytes().splitlines()) + 1
    with Collector(max_body=None if rude else limit, rude_max_body=limit if rude else None) as c:
        run(router, c, small_log, '    in_flight: 1\n')
        assert_byte_for_byte(router, c, small_log)


def test_refused_events_are_dead_letters_and_the_rest_arrives(router, small_log):
    lines = small_log.read_bytes().splitlines()
    bad = [line for line in lines if b'"verb":"delete"' in line]
    assert 0 < len(bad) < 200
    with Collector(refuse=rb'"verb":"delete"') as c:
        done = run(router, c, small_log, code=1)
        assert_each_arrived(router, c, small_log, missing=bad)
    letters = [json.loads(line) for path in (router.folder / 'state').rglob('*.ndjson')
               for line in path.read_bytes().splitlines()]
    assert len(letters) == len(bad)
    for letter in letters:
        assert letter['code'] == 'http_400' and letter['output'] == 'siem'
    assert sorted(json.dumps(letter['event']) for letter in letters) == sorted(json.dumps(json.loads(b)) for b in bad)
    assert '"verb"' not in done.stderr


def test_a_collector_that_dies_and_comes_back(router, audit_log):
    with Collector() as c:
        c.delay(0.05)
        config = HEAD.format(log=audit_log, url=c.url()) + '    batch_events: 100\n'
        process = router.start('run', '--once', '-c', router.write('audit-router.yaml', config))
        try:
            for _ in range(3):
                time.sleep(0.3)
                c.stop()
                time.sleep(0.3)
                c.start()
            c.heal()
            assert process.wait(PATIENCE_S) == 0, (router.folder / 'stderr').read_text()
        finally:
            process.kill()
            process.wait()
        assert_each_arrived(router, c, audit_log)


@pytest.fixture
def certificates(tmp_path):
    return make_certificates(tmp_path / 'tls')


def test_https_with_client_certificate(router, small_log, certificates):
    with Collector(certificate=certificates('server.pem'), key=certificates('server.key'),
                   client_ca=certificates('ca.pem')) as c:
        run(router, c, small_log, f"""\
    in_flight: 1
    tls:
      ca_file: {certificates('ca.pem')}
      certificate_file: {certificates('client.pem')}
      key_file: {certificates('client.key')}
""")
        assert_byte_for_byte(router, c, small_log)


def test_a_wrong_authority_is_told_and_holds_nobody_else(router, small_log, certificates):
    with Collector(certificate=certificates('server.pem'), key=certificates('server.key')) as c:
        config = HEAD.format(log=small_log, url=c.url()).replace('once_wait: 120s', 'once_wait: 4s')
        done = router.once(config + f"    tls: {{ ca_file: {certificates('other.pem')} }}\n"
                           "  archive:\n    type: file\n    path: archive/{class}.ndjson\n", env=ENV)
        assert c.paths() == []
    assert done.returncode == 1
    assert 'certificate' in done.stderr and 'is tls.ca_file right?' in done.stderr
    for class_, lines in classes_of(router, small_log).items():
        path = router.folder / 'archive' / f'{class_.lower()}.ndjson'
        assert (path.read_bytes().splitlines() if path.exists() else []) == lines


def test_check_names_the_mistakes(router, small_log):
    config = HEAD.format(log=small_log, url='http://joe:hush@127.0.0.1:1') + '    auth: { type: bearer }\n    batch_evens: 5\n'
    done = router('check', '-c', router.write('audit-router.yaml', config))
    assert done.returncode == 1
    assert 'batch_events' in done.stderr and 'hush' not in done.stderr
    assert re.search(r'audit-router\.yaml:\d+:\d+: error: ', done.stderr)


def test_the_collector_as_a_program(router, small_log, tmp_path):
    process = subprocess.Popen([sys.executable, str(TOP / 'tests' / 'integration' / 'collector.py'),
                                '--dir', tmp_path / 'stored'], stdout=subprocess.PIPE, text=True)
    STARTED.append(process)
    try:
        url = process.stdout.readline().strip()
        done = router.once(HEAD.format(log=small_log, url=url) + '    in_flight: 1\n', env=ENV)
        assert done.returncode == 0, done.stderr
        for class_, lines in classes_of(router, small_log).items():
            path = tmp_path / 'stored' / f'{class_.lower()}.ndjson'
            assert (path.read_bytes().splitlines() if path.exists() else []) == lines
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()
