"""The webhook of the real program: what kube-apiserver posts, what it posts again, and what others do to it."""
import base64
import collections
import gzip
import http.client
import http.server
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import zlib

import pytest

from harness import CLASSES, PATIENCE_S, TOP, wait_for, whole_lines
from ports import free_port

BODIES = [gzip.decompress(p.read_bytes()) for p in sorted((TOP / 'tests/data/webhook').glob('*.json.gz'))]
CONFIG = """\
cluster: prod
state_dir: state
redact: off
shutdown_wait: 60s
inputs:
  api: { type: webhook, listen: '127.0.0.1:PORT', MORE }
outputs:
  files: { type: file, path: 'out/{class}.log' }
"""


class Hook:
    """The program with a webhook, running."""

    def __init__(self, router, more='timeout: 120s', config=CONFIG, tls=None):
        self.router, self.tls = router, tls
        self.port = free_port()
        router.write('audit-router.yaml', config.replace('PORT', str(self.port)).replace('MORE', more))
        self.start()

    def start(self):
        self.process = self.router.start('run', '-c', 'audit-router.yaml')
        wait_for(self.listens, lambda: 'it does not listen: ' + self.errors())

    def listens(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), PATIENCE_S).close()
            return True
        except OSError:
            assert self.process.poll() is None, self.errors()
            return False

    def errors(self):
        return (self.router.folder / 'stderr').read_text(errors='replace')

    def connect(self, timeout=PATIENCE_S):
        if self.tls:
            return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)

    def post(self, body, headers=None, method='POST', timeout=PATIENCE_S):
        """
        One request on a connection of its own, and as from an apiserver again while the router has no room, as on a machine
        that is busy: status and headers.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            answer = self.post_once(body, headers, method, timeout)
            if answer[0] != 429 or time.monotonic() > end:
                return answer
            time.sleep(0.1)

    def post_once(self, body, headers=None, method='POST', timeout=PATIENCE_S):
        """One request on a connection of its own: status and headers."""
        c = self.connect(timeout)
        try:
            c.request(method, '/audit/sink?timeout=30s', body, {'Content-Type': 'application/json', **(headers or {})})
            answer = c.getresponse()
            answer.read()
            return answer.status, answer.headers
        finally:
            c.close()

    def rss_kib(self):
        text = open(f'/proc/{self.process.pid}/status', encoding='ascii').read()
        return int(re.search(r'VmRSS:\s+(\d+)', text)[1])

    def end(self, code=0):
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(PATIENCE_S) == code, self.errors()
        finally:
            self.process.kill()
        assert 'Sanitizer' not in self.errors() and 'runtime error' not in self.errors(), self.errors()

    def out(self):
        return [line for c in CLASSES for line in lines_of(self.router.folder / 'out' / f'{c.lower()}.log')]

    def dead(self):
        return [json.loads(line) for line in whole_lines(self.router.folder / 'state/dead-letters/inputs.ndjson')]


def lines_of(path):
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.fixture
def hook(router):
    hooks = []

    def make(*args, **more):
        hooks.append(Hook(router, *args, **more))
        return hooks[-1]
    yield make
    for h in hooks:
        h.process.kill()


@pytest.fixture(scope='session')
def expected(audit_log):
    """The log's lines of the events that stand in the bodies: found by audit id, stage and time."""
    def key(event):
        return event['auditID'], event['stage'], event.get('stageTimestamp'), event.get('requestURI')
    want = collections.Counter(key(item) for body in BODIES for item in json.loads(body.decode('utf-8', 'replace'))['items'])
    lines = [line for line in audit_log.read_bytes().splitlines() if want[key(json.loads(line.decode('utf-8', 'replace')))]]
    assert len(lines) == sum(want.values())
    return lines


def small(n, first=0):
    """A list of n events, each of its own."""
    return json.dumps({'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1', 'metadata': {}, 'items': [
        {'level': 'Metadata', 'auditID': f'id-{i}', 'stage': 'ResponseComplete', 'verb': 'get', 'requestURI': f'/{i}',
         'user': {'username': 'u'}} for i in range(first, first + n)]}).encode() + b'\n'


def ids(lines):
    return collections.Counter(json.loads(line)['auditID'] for line in lines)


# ---- what an apiserver posts ----

@pytest.mark.parametrize('packed', [False, True])
def test_bodies_equal_the_log(hook, expected, packed):
    h = hook()
    for body in BODIES:
        if packed:
            assert h.post(gzip.compress(body), {'Content-Encoding': 'gzip'})[0] == 200
        else:
            assert h.post(body)[0] == 200
    # the answer says that they are safe: they are there now, before any end
    assert collections.Counter(h.out()) == collections.Counter(expected)
    h.end()
    assert collections.Counter(h.out()) == collections.Counter(expected)


def test_thrice_is_once(hook, expected):
    h = hook()
    for body in BODIES:
        for _ in range(3):
            assert h.post(body)[0] == 200
    h.end()
    assert collections.Counter(h.out()) == collections.Counter(expected)
    assert 'came already' in h.errors()


def test_dedup_off_and_twins(hook):
    twin = small(1)
    item = json.loads(twin)['items'][0]
    text = json.dumps(item)
    body = ('{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%s,%s]}' % (text, text)).encode()
    h = hook()
    for _ in range(2):
        assert h.post(body)[0] == 200
    h.end()
    assert len(h.out()) == 2, 'an event that stands twice in one body is delivered twice'
    h = hook('dedup: off')
    for _ in range(2):
        assert h.post(body)[0] == 200
    h.end()
    assert len(h.out()) == 2 + 4


def test_one_audit_id_for_two_events(hook):
    h = hook()
    for uri in ('/a', '/b', '/a'):
        body = json.loads(small(1))
        body['items'][0]['requestURI'] = uri
        assert h.post(json.dumps(body))[0] == 200
    h.end()
    assert sorted(json.loads(line)['requestURI'] for line in h.out()) == ['/a', '/b']


def test_lost_answers(hook):
    """The client is gone before the answer, and posts again."""
    h = hook()
    for i in range(10):
        body = small(50, i * 50)
        with socket.create_connection(('127.0.0.1', h.port)) as s:
            s.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
        assert h.post(body)[0] == 200
    h.end()
    assert ids(h.out()) == {f'id-{i}': 1 for i in range(500)}


def test_other_shapes(hook):
    items = [json.dumps(i, separators=(',', ':')).encode() for i in json.loads(small(12))['items']]
    h = hook()
    assert h.post(items[0])[0] == 200
    assert h.post(b'\n'.join(items[1:3]))[0] == 200
    assert h.post(json.dumps({'items': [json.loads(i) for i in items[3:6]], 'apiVersion': 'audit.k8s.io/v1',
                              'kind': 'EventList'}))[0] == 200
    pretty = json.dumps({'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1',
                         'items': [json.loads(i) for i in items[6:9]]}, indent=2)
    assert h.post(pretty)[0] == 200
    c = h.connect()
    c.request('PUT', '/x', b'')
    assert c.getresponse().status == 405
    chunked = iter([small(3, 9)[:100], small(3, 9)[100:]])
    c = h.connect()
    c.request('POST', '/x', chunked, encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
    assert c.getresponse().status == 200
    assert h.post(b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}')[0] == 200
    assert h.post(b'')[0] == 400
    h.end()
    assert ids(h.out()) == {f'id-{i}': 1 for i in range(12)}
    assert h.dead() == []


def test_broken_bodies(hook):
    h = hook()
    for _ in range(2):
        assert h.post(b'this is no JSON')[0] == 400
    assert len(h.dead()) == 1, 'the same broken body is one dead letter'
    assert h.post(small(3).rstrip()[:-30] + b'\n')[0] == 200, 'two items are whole'
    assert len(h.dead()) == 2
    assert h.post(b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"a":1},7,null]}')[0] == 400
    good = json.loads(small(1, 7))['items'][0]
    assert h.post(b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"a":tru},%s]}'
                  % json.dumps(good).encode())[0] == 200
    assert h.post(b'{"kind":"EventList","items":[')[0] == 400
    h.end()
    assert ids(h.out()) == {'id-0': 1, 'id-1': 1, 'id-7': 1}
    assert len(h.dead()) == 2 + 3 + 1 + 1


def test_too_large(hook):
    h = hook('max_body: 100KiB')
    with socket.create_connection(('127.0.0.1', h.port), PATIENCE_S) as s:
        s.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n')
        assert s.recv(4096).startswith(b'HTTP/1.1 413')
    assert h.post(b'x' * 300_000)[0] == 413
    assert h.post(gzip.compress(b' ' * 5_000_000), {'Content-Encoding': 'gzip'})[0] == 413
    assert h.post(b'x', {'Content-Encoding': 'br'})[0] == 415
    assert h.post(small(2))[0] == 200
    h.end()


# ---- who may post ----

def test_token(hook, router):
    router.write('token', 'sesame\n')
    h = hook('token_file: token')
    good = {'Authorization': 'Bearer sesame'}
    assert h.post(small(1))[0] == 401
    assert h.post(small(1), {'Authorization': 'Bearer sesamo'})[0] == 401
    assert h.post(small(1), {'Authorization': 'Bearer sesamesesame'})[0] == 401
    assert h.post(small(1), good)[0] == 200
    router.write('token', 'simsala')
    wait_for(lambda: h.post(small(1), good)[0] == 401, 'the old token to be refused')
    good = {'Authorization': 'Bearer simsala'}
    assert h.post(small(1), good)[0] == 200
    # another file, as old and as long: whoever makes files of one time for all has such
    token = router.folder / 'token'
    other = router.write('other', 'abracad')
    os.utime(other, ns=(0, token.stat().st_mtime_ns))
    other.rename(token)
    wait_for(lambda: h.post(small(1), good)[0] == 401, 'the token of the same time to be refused')
    good = {'Authorization': 'Bearer abracad'}
    assert h.post(small(1), good)[0] == 200
    token.unlink()
    wait_for(lambda: 'token: cannot be read' in h.errors(), 'the vanished file to be told of')
    assert h.post(small(1), good)[0] == 200
    h.end()
    assert not re.search('sesame|simsala|abracad', h.errors())


def openssl(folder, *arguments):
    subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder, name):
    openssl(folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-keyout', f'{name}.key', '-out', f'{name}.pem', '-subj', f'/CN={name}')


def certificate(folder, ca, name, more=''):
    openssl(folder, 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
            f'{name}.key', '-out', f'{name}.csr', '-subj', f'/CN={name}')
    (folder / f'{name}.ext').write_text('subjectAltName=IP:127.0.0.1\n' + more)
    openssl(folder, 'x509', '-req', '-in', f'{name}.csr', '-CA', f'{ca}.pem', '-CAkey', f'{ca}.key', '-CAcreateserial',
            '-days', '2', '-out', f'{name}.pem', '-extfile', f'{name}.ext')


def context(folder, client=None):
    c = ssl.create_default_context(cafile=folder / 'ca.pem')
    if client:
        c.load_cert_chain(folder / f'{client}.pem', folder / f'{client}.key')
    return c


@pytest.fixture
def pki(router):
    folder = router.folder
    for name in ('ca', 'other'):
        authority(folder, name)
    certificate(folder, 'ca', 'server')
    certificate(folder, 'ca', 'client', 'extendedKeyUsage=clientAuth\n')
    certificate(folder, 'ca', 'serveronly', 'extendedKeyUsage=serverAuth\n')
    certificate(folder, 'other', 'stranger')
    return folder


TLS = 'tls: { cert_file: server.pem, key_file: server.key }'
MTLS = 'tls: { cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem }'


def test_tls(hook, pki, expected):
    h = hook(TLS, tls=context(pki))
    for body in BODIES:
        assert h.post(body)[0] == 200
    before = h.connect()
    before.connect()
    first = before.sock.getpeercert()['serialNumber']
    certificate(pki, 'ca', 'server')

    def serial():
        c = h.connect()
        c.connect()
        try:
            return c.sock.getpeercert()['serialNumber']
        finally:
            c.close()
    wait_for(lambda: serial() != first, 'a new certificate to be taken over')
    h.end()
    assert collections.Counter(h.out()) == collections.Counter(expected)


def test_mtls(hook, pki, expected):
    h = hook(MTLS, tls=context(pki, 'client'))
    c = h.connect()
    for body in BODIES:
        c.request('POST', '/', body)
        answer = c.getresponse()
        answer.read()
        assert answer.status == 200
    for name in (None, 'stranger', 'serveronly'):
        h.tls = context(pki, name)
        assert h.post(small(1))[0] == 403, name
    h.tls = context(pki, 'client')
    assert h.post(small(1))[0] == 200
    h.end()
    assert collections.Counter(h.out()[:]) >= collections.Counter(expected)
    assert len(h.out()) == len(expected) + 1


def test_mtls_authority_changes(hook, pki):
    """A connection that is open does not outlive the trust in its certificate."""
    h = hook(MTLS, tls=context(pki, 'client'))
    c = h.connect()

    def post():
        c.request('POST', '/', small(1))
        answer = c.getresponse()
        answer.read()
        return answer.status
    assert post() == 200
    (pki / 'new.pem').write_bytes((pki / 'other.pem').read_bytes())
    (pki / 'new.pem').replace(pki / 'ca.pem')
    wait_for(lambda: post() == 403, 'it is still let in')
    h.tls = context(pki, None)
    h.end()


@pytest.mark.parametrize('settings', [TLS, MTLS])
def test_thrice_over_tls(hook, pki, expected, settings):
    h = hook(settings, tls=context(pki, 'client'))
    for body in BODIES:
        for _ in range(3):
            assert h.post(body)[0] == 200
    h.end()
    assert collections.Counter(h.out()) == collections.Counter(expected)


# ---- what others do ----

def hostile(h, kind, stop, tls=None):
    """One client of that kind, again and again until the end."""
    while not stop.is_set():
        try:
            with socket.create_connection(('127.0.0.1', h.port), 10) as plain:
                plain.settimeout(10)
                if tls and kind != 'garbage':
                    wanted = {'no certificate': None, 'wrong certificate': 'stranger'}.get(kind, 'client')
                    with tls[wanted].wrap_socket(plain, server_hostname='127.0.0.1') as s:
                        behave(s, kind, stop)
                else:
                    behave(plain, kind, stop)
        except (OSError, ValueError):
            pass
        stop.wait(0.5)


def behave(s, kind, stop):
    if kind == 'garbage':
        s.sendall(random.Random(1).randbytes(2000) + b'\r\n\r\n')
        s.recv(100)
        return
    token = b'wrong' if kind == 'wrong token' else b'sesame'
    head = b'POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ' + token + b'\r\nContent-Length: %d\r\n\r\n'
    if kind == 'slow head':
        parts = [b'POST / HTTP/1.1\r\n'] + [b'X: y\r\n'] * 1000
    elif kind == 'slow body':
        parts = [head % 400_000, small(100)] + [b' '] * 1000
    elif kind == 'half':
        parts = [head % (10 << 20), small(1000)[:-100]]
    elif kind == 'large':
        parts = [head % (10 << 20), b'[' * (10 << 20)]
    else: # refused whatever it sends
        parts = [head % 1000, b'x' * 1000]
    for part in parts:
        s.sendall(part)
        if stop.wait(0.2 if 'slow' in kind else 0):
            return
    if kind in ('half', 'large'):
        stop.wait(5)
    s.recv(100)


def lay_siege(h, kinds, clients, tls):
    """A process of their own, so that good clients do not share an interpreter with them. Until it is killed."""
    stop = threading.Event()
    threading.stack_size(256 * 1024)
    for i in range(clients):
        threading.Thread(target=hostile, args=(h, kinds[i % len(kinds)], stop, tls), daemon=True).start()
    stop.wait()


def tried(h, body, headers):
    """As post_once(); the status is 0 where the connection was cut."""
    try:
        return h.post_once(body, headers)
    except OSError:
        return 0, {}


def besiege(h, kinds, clients, seconds, tls=None):
    """Hostile clients for a while. Returns the growth of memory in KiB."""
    good = {'Authorization': 'Bearer sesame'}
    assert h.post(small(1), good)[0] == 200
    before = h.rss_kib()
    siege = multiprocessing.get_context('fork').Process(target=lay_siege, args=(h, kinds, clients, tls), daemon=True)
    siege.start()
    served, failed, peak, slowest, start = 0, 0, 0, 0, time.monotonic()
    try:
        while time.monotonic() < start + seconds or served <= 10:
            begun = time.monotonic()
            assert begun < start + seconds + PATIENCE_S, 'good clients are not served'
            status, headers = tried(h, small(20, served * 20), good)
            # 408 and 503: nobody had time for it
            assert status in (0, 200, 408, 429, 503), status
            assert status != 429 or headers['Retry-After']
            served += status == 200
            failed += status != 200
            slowest = max(slowest, time.monotonic() - begun)
            peak = max(peak, h.rss_kib())
            time.sleep(0.02)
    finally:
        siege.kill()
        siege.join()
    print(f'{clients} hostile clients: {served} bodies of good ones answered, {failed} to come again, the slowest after {slowest:.2f} s; '
          f'memory {before / 1024:.0f} -> {peak / 1024:.0f} MiB')
    for i in range(20):
        wait_for(lambda i=i: tried(h, small(20, (served + i) * 20), good)[0] == 200, 'an answer after the siege')
    h.end()
    got = ids(h.out())
    assert all(got[f'id-{i}'] == 1 for i in range((served + 20) * 20))
    return peak - before


PLAIN_KINDS = ['slow head', 'slow body', 'half', 'garbage', 'large', 'wrong token']
TLS_KINDS = PLAIN_KINDS + ['no certificate', 'wrong certificate']
# ./dev hostile: 1000 of them, for longer
HOSTILE = int(os.environ.get('HOSTILE_CLIENTS', 300))
HOSTILE_SECONDS = 5 if HOSTILE <= 300 else 30


@pytest.mark.slow  # and memory under a sanitizer says nothing of the program's
def test_hostile_clients(hook):
    more = 'timeout: 3s, connections: 256, token: sesame' if HOSTILE <= 300 else 'timeout: 10s, token: sesame'
    grown = besiege(hook(more), PLAIN_KINDS, HOSTILE, HOSTILE_SECONDS)
    # memory_max, a pool of 64 KiB for each connection, and what the allocator keeps
    assert grown < (32 + 64 * min(HOSTILE, 1024) / 1024 + 64) * 1024, 'memory is bounded'


@pytest.mark.slow
def test_hostile_clients_mtls(hook, pki):
    if HOSTILE <= 300:
        more = MTLS + ', timeout: 3s, connections: 128, token: sesame'
    else:
        more = MTLS + ', timeout: 10s, token: sesame'
    contexts = {name: context(pki, name) for name in (None, 'client', 'stranger')}
    clients = HOSTILE if HOSTILE > 300 else 150
    grown = besiege(hook(more, tls=contexts['client']), TLS_KINDS, clients, HOSTILE_SECONDS, contexts)
    # ... and two records of 16 KiB and a session for each connection
    assert grown < (32 + 144 * min(clients, 1024) / 1024 + 64) * 1024, 'memory is bounded'


def test_slow_clients_are_cut(hook):
    h = hook('timeout: 1s')
    for start in (b'POST / HTTP/1.1\r\n', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'):
        with socket.create_connection(('127.0.0.1', h.port), PATIENCE_S) as s:
            s.sendall(start)
            with pytest.raises(OSError):
                for _ in range(600):    # a minute at least
                    s.sendall(b'x')
                    time.sleep(0.1)
                pytest.fail('bytes that drip are no life')
    h.end()


# ---- collectors ----

STALLED = """\
cluster: prod
state_dir: state
redact: off
memory_max: 8MiB
shutdown_wait: 1s
inputs:
  api: { type: webhook, listen: '127.0.0.1:PORT', timeout: 10m, MORE }
outputs:
  siem: { type: http, url: 'http://127.0.0.1:COLLECTOR/', timeout: 10m, spool_after: 300ms, SPOOL }
"""


# Well under what a request may take, and enough for an answer that a quiet machine gives in under a second.
SOON_S = 200


@pytest.fixture
def stalled():
    """A collector that takes connections and never answers: a listening socket."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(50)
        yield s


def stalled_config(stalled, spool):
    return STALLED.replace('COLLECTOR', str(stalled.getsockname()[1])).replace('SPOOL', spool)


def test_stalled_collector_spool(hook, stalled):
    h = hook('dedup: on', stalled_config(stalled, 'spool: { max: 1GiB }'))
    for i in range(20):
        begun = time.monotonic()
        assert h.post(small(200, i * 200))[0] == 200, 'it is safe in the spool'
        assert time.monotonic() - begun < SOON_S
    h.end()


def test_stalled_collector_without_spool(hook, stalled):
    h = hook('dedup: on', stalled_config(stalled, 'spool: off'))
    answers = []

    def post(i):
        begun = time.monotonic()
        try:
            status = h.post_once(small(4000, i * 4000))[0]
        except OSError:
            status = 0
        answers.append((status, time.monotonic() - begun))
    threads = [threading.Thread(target=post, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
        time.sleep(0.1)
    begun = time.monotonic()
    status, headers = h.post_once(small(10, 999_000))
    assert status == 429 and headers['Retry-After']
    assert time.monotonic() - begun < SOON_S
    h.end()
    for t in threads:
        t.join()
    assert not any(status == 200 for status, _ in answers), 'nothing is safe'
    assert all(took < SOON_S for status, took in answers if status == 429)


class Awakening(http.server.BaseHTTPRequestHandler):
    """A collector that answers nothing until it is awake."""
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if not self.server.awake.wait(PATIENCE_S):
            return
        self.server.taken += body.splitlines()
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


def test_once_the_collector_wakes_up(hook):
    """Without a spool: 429 to who waits in vain, nothing more is taken in, and what comes again comes once."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Awakening) as server:
        server.awake, server.taken, server.daemon_threads = threading.Event(), [], True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        h = hook('dedup: on', STALLED.replace('COLLECTOR', str(server.server_port)).replace('SPOOL', 'spool: off, batch_wait: 0'))
        for wait in (0, 0, 2.5):
            time.sleep(wait)
            begun = time.monotonic()
            status, headers = h.post_once(small(50))
            assert status == 429 and headers['Retry-After'] == '1'
            assert time.monotonic() - begun < SOON_S, 'soon: 0.9 s on a machine that is not busy'
        server.awake.set()
        assert h.post(small(50))[0] == 200
        assert h.post(small(50, 50))[0] == 200
        h.end()
        assert ids(server.taken) == {f'id-{i}': 1 for i in range(100)}
        server.shutdown()


def test_without_a_spool_nobody_waits_for_more_to_come(hook):
    """A body is delivered, and answered 200, before a batch of the output is full or old."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Awakening) as server:
        server.awake, server.taken, server.daemon_threads = threading.Event(), [], True
        server.awake.set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        h = hook('dedup: on', STALLED.replace('COLLECTOR', str(server.server_port)).replace('SPOOL', 'spool: off, batch_wait: 1h'))
        for i in range(3):
            assert h.post_once(small(50, i * 50))[0] == 200
        h.end()
        assert ids(server.taken) == {f'id-{i}': 1 for i in range(150)}
        server.shutdown()


def test_stop_is_prompt_for_who_waits(hook, stalled):
    """The end while a body waits for a stalled collector: an answer, and no 200."""
    h = hook('dedup: off', stalled_config(stalled, 'spool: off'))
    answers = []
    t = threading.Thread(target=lambda: answers.append(h.post_once(small(10))[0]))
    t.start()
    stalled.settimeout(PATIENCE_S)
    with stalled.accept()[0]:   # the body's events are on their way to the collector
        h.end()
    t.join(PATIENCE_S)
    assert answers == [503]


def test_kill_loses_nothing_that_was_answered(hook):
    h = hook()
    rng, good, lock = random.Random(7), [], threading.Lock()
    counter = iter(range(10 ** 9))

    def client(stop):
        while not stop.is_set():
            with lock:
                first = next(counter) * 50
            while not stop.is_set():
                try:
                    if h.post_once(small(50, first), timeout=30)[0] == 200:
                        with lock:
                            good.append(first)
                        break
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
    stop = threading.Event()
    threads = [threading.Thread(target=client, args=(stop,)) for _ in range(4)]
    for t in threads:
        t.start()
    for _ in range(int(os.environ.get('WEBHOOK_KILLS', 6))):
        time.sleep(rng.uniform(0.05, 0.5))
        h.process.kill()
        h.process.wait()
        h.start()
    wait_for(lambda: len(good) > 20, 'answers')
    stop.set()
    for t in threads:
        t.join()
    h.end()
    got = ids(h.out())
    print(f'{len(good)} bodies answered, {len(h.out())} lines of {50 * len(good)} events')
    assert not [f'id-{i}' for first in good for i in range(first, first + 50) if not got[f'id-{i}']]


def test_what_a_kill_left_of_an_event_goes_though_it_is_never_sent_again(hook, router):
    out = router.folder / 'out'
    out.mkdir()
    (out / 'admin_read.log').write_bytes(b'{"a":1}\n{"kind":"E')
    h = hook()
    wait_for(lambda: (out / 'admin_read.log').read_bytes() == b'{"a":1}\n', h.errors)
    wait_for(lambda: 'out/admin_read.log ended in the middle of a line: 10 bytes cut' in h.errors(), h.errors)
    h.end()


# ---- around it ----

def test_once_is_a_usage_error(router):
    done = router.once(CONFIG.replace('PORT', '1').replace('MORE', 'dedup: on'))
    assert done.returncode == 2


def test_check(router):
    def check(text):
        return router('check', '-c', router.write('c.yaml', CONFIG.replace("'127.0.0.1:PORT'", text).replace(', MORE', '')))
    assert check("'127.0.0.1:9880'").stderr == ''
    assert check("'[::1]:9880'").stderr == ''
    warned = check("'0.0.0.0:9880'")
    assert warned.returncode == 0 and 'without tls' in warned.stderr
    assert check("'somewhere'").returncode == 1
    assert check("'127.0.0.1:9880', token: a, token_file: b").returncode == 1
    assert check("'127.0.0.1:9880', tls: { client_ca_file: b }").returncode == 1


def test_an_event_larger_than_all_memory(hook):
    """40 MB of one event with a memory_max of 32 MiB, as an apiserver may post it: alone it gets through."""
    item = json.loads(small(1))['items'][0]
    item['requestObject'] = {'data': 'x' * 40_000_000}
    h = hook('timeout: 300s')
    assert h.post(small(10, 1))[0] == 200
    assert h.post(json.dumps({'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1', 'items': [item]}))[0] == 200
    assert h.post(small(10, 11))[0] == 200
    h.end()
    assert ids(h.out()) == {f'id-{i}': 1 for i in range(21)}


def test_torn_gzip(hook):
    packed = gzip.compress(small(200), mtime=0)
    encoding = {'Content-Encoding': 'gzip'}
    h = hook()
    for _ in range(2):
        assert h.post(b'this was never packed', encoding)[0] == 400
    assert len(h.dead()) == 1, 'what cannot be unpacked is one dead letter'
    assert h.post(packed[:len(packed) // 2], encoding)[0] == 200, 'its first items are whole'
    assert len(h.dead()) == 3, 'the torn one is not, nor is what was to come'
    assert h.post(packed, encoding)[0] == 200
    assert h.post(packed + b'and more', encoding)[0] == 200
    assert len(h.dead()) == 4
    assert h.post(gzip.compress(small(5, 200)) + gzip.compress(b''), encoding)[0] == 200, 'members one behind the other'
    assert h.post(b'', encoding)[0] == 400
    h.end()
    assert ids(h.out()) == {f'id-{i}': 1 for i in range(205)}


def flushed_lines(n, first=0):
    """Events as lines, packed by a client that flushes behind each: the lines, and where the packed bytes of each end."""
    items = [{'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', **item} for item in json.loads(small(n, first))['items']]
    packer, packed, ends = zlib.compressobj(wbits=31), b'', []
    for item in items:
        packed += packer.compress(json.dumps(item).encode() + b'\n') + packer.flush(zlib.Z_SYNC_FLUSH)
        ends.append(len(packed))
    return packed + packer.flush(), ends


def test_gzip_cut_between_two_lines_is_told(hook):
    """Each line that came is whole: nothing but the end that is missing says that more was to come."""
    encoding = {'Content-Encoding': 'gzip'}
    h = hook()
    packed, ends = flushed_lines(10)
    for _ in range(2):
        assert h.post(packed[:ends[4]], encoding)[0] == 200
        assert [base64.b64decode(letter['bytes']).split(b':')[0] for letter in h.dead()] == [b'? gzip without its end']
    other, ends = flushed_lines(7, 100)
    assert h.post(other[:ends[3]], encoding)[0] == 200
    assert len(h.dead()) == 2, 'another body is no copy of it'
    assert h.post(packed[:10], encoding)[0] == 400, 'nothing but its head'
    assert h.post(packed, encoding)[0] == 200
    assert len(h.dead()) == 3
    h.end()
    assert ids(h.out()) == {f'id-{i}': 1 for i in [*range(10), *range(100, 104)]}


def test_packed_bytes_are_counted_too(hook):
    """Blocks of deflate that hold nothing: without the end that max_body is, a client could send them for ever."""
    h = hook('max_body: 100KiB')
    with socket.create_connection(('127.0.0.1', h.port), PATIENCE_S) as s:
        s.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n')
        for part in [b'\x1f\x8b\x08\0\0\0\0\0\0\xff'] + [b'\0\0\0\xff\xff' * 2000] * 11 + [zlib.compress(small(1), wbits=-15)]:
            s.sendall(b'%x\r\n%s\r\n' % (len(part), part))
        s.sendall(b'0\r\n\r\n')
        assert s.recv(4096).startswith(b'HTTP/1.1 413')
    h.end()
    assert not h.out()


def test_statuses_of_odd_bodies(hook):
    """A list whose kind comes last is one value until its end: what is good in it decides all the same."""
    good, bad = json.loads(small(1))['items'][0], {'a': 1}

    def odd(*items):
        return json.dumps({'items': items, 'apiVersion': 'audit.k8s.io/v1', 'kind': 'EventList'})
    h = hook()
    assert h.post(odd(good, bad, bad))[0] == 200
    assert h.post(odd(bad, bad))[0] == 400
    assert h.post(odd())[0] == 200
    assert h.post(b' \n ')[0] == 400
    assert h.post(b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}')[0] in (200, 400)
    h.end()
    assert ids(h.out()) == {'id-0': 1}
