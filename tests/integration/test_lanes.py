"""Lanes against each other: what one output does must not be felt by another."""
import json
import time

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
        until = time.monotonic() + 30
        while not (good.exists() and good.stat().st_size == len(text)) and time.monotonic() < until:
            time.sleep(0.05)
        assert good.read_text() == text
    finally:
        process.terminate()
        time.sleep(0.2)
        process.terminate()
        process.wait(30)
