"""Lanes against each other: what one output does must not be felt by another."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import wait_for

CONFIG = """
state_dir: state
memory_max: 4MiB
redact: off
inputs:
  log: { type: file, path: audit.log }
outputs:
  good: { type: file, path: good.ndjson, classes: [ADMIN_READ] }
  dead: { type: http, url: 'http://127.0.0.1:1/', classes: [ADMIN_READ] }
data_access: { DATA_READ: off, DATA_WRITE: off }
"""


def event(i, text=''):
    return json.dumps({'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'stage': 'ResponseComplete', 'verb': 'list',
                       'auditID': str(i), 'requestURI': '/api/v1/pods', 'userAgent': text,
                       'objectRef': {'resource': 'pods', 'apiVersion': 'v1'}}) + '\n'


def test_a_line_larger_than_memory_max_does_not_wait_for_a_dead_output(router):
    text = ''.join(event(i) for i in range(5000)) + event('large', 'x' * (6 << 20)) + event('last')
    router.write('audit.log', text)
    router.write('audit-router.yaml', CONFIG.replace(
        'good: {', 'activity: { type: file, path: activity.ndjson, classes: [ADMIN_ACTIVITY] }\n  good: {'))
    process = router.start('run', '-c', 'audit-router.yaml')
    good = router.folder / 'good.ndjson'
    try:
        wait_for(lambda: good.exists() and good.stat().st_size >= len(text))
        assert good.read_text() == text
    finally:
        process.kill()
        process.wait()


def test_full_dead_letters_hold_only_their_own_lane(router):
    """An event above one output's max_event_bytes, and no room in that output's dead letters."""
    config = CONFIG.replace('dead: { type: http, url: \'http://127.0.0.1:1/\',',
                            'small: { type: file, path: small.ndjson, max_event_bytes: 2KiB,')
    lines = [event(i, 'x' * 4000 if i % 50 == 10 else '') for i in range(5000)]
    router.write('audit.log', ''.join(lines))
    router.write('audit-router.yaml', 'dead_letters_max: 64KiB\n' + config.replace(
        'good: {', 'activity: { type: file, path: activity.ndjson, classes: [ADMIN_ACTIVITY] }\n  good: {'))
    process = router.start('run', '-c', 'audit-router.yaml')
    good, small = router.folder / 'good.ndjson', router.folder / 'small.ndjson'
    try:
        wait_for(lambda: good.exists() and good.stat().st_size >= sum(map(len, lines)))
        assert good.read_text() == ''.join(lines)
        wait_for(lambda: 'dead letters are full' in (router.folder / 'stderr').read_text())
    finally:
        process.kill()
        process.wait()
    # With room for them, the next run brings all that was held.
    router.write('audit-router.yaml', (router.folder / 'audit-router.yaml').read_text().replace('64KiB', '1MiB', 1))
    assert router('run', '--once', '-c', 'audit-router.yaml').returncode == 1
    kept = [line for line in lines if len(line) < 2048]
    assert sorted(set(small.read_text().splitlines(True)), key=kept.index) == kept
    letters = (router.folder / 'state/dead-letters/outputs/small.ndjson').read_text().splitlines()
    assert {json.loads(letter)['event']['auditID'] for letter in letters} == {str(i) for i in range(10, 5000, 50)}


class Slow(BaseHTTPRequestHandler):
    """Takes a fifth of a second a request."""

    protocol_version = 'HTTP/1.1'
    events = 0

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.stopping.wait(0.2)
        type(self).events += body.count(b'\n')
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()


def test_a_slow_collector_does_not_slow_the_others(router):
    """It is never late, only slow: no event waits for spool_after, but all would wait for it, and that would take a minute."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), Slow)
    server.daemon_threads, server.stopping = True, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    n = 60000
    lines = [event(i) for i in range(n)]
    router.write('audit.log', ''.join(lines))
    router.write('audit-router.yaml', CONFIG.replace("127.0.0.1:1/'", f"127.0.0.1:{server.server_port}/', batch_events: 100, spool_after: 1h").replace(
        'good: {', 'activity: { type: file, path: activity.ndjson, classes: [ADMIN_ACTIVITY] }\n  good: {'))
    process = router.start('run', '-c', 'audit-router.yaml')
    good = router.folder / 'good.ndjson'
    try:
        wait_for(lambda: good.exists() and good.stat().st_size >= sum(map(len, lines)))
        assert Slow.events < n / 2
        assert good.read_text() == ''.join(lines)
    finally:
        process.kill()
        process.wait()
        server.stopping.set()
        server.shutdown()
        server.server_close()
