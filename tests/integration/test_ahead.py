"""A large log is sorted by two threads; what comes out is in the order of the source, as if by one."""
import json

import pytest
from harness import CLASSES

CONFIG = """
state_dir: state
redact: off
outputs:
  files: { type: file, path: 'out/{input}/{class}.ndjson', sync: never }
inputs:
"""
EVENTS = 20000


def event(i):
    """One of each class in turn, of different lengths."""
    verb, subresource = (('create', None), ('list', None), ('get', 'log'), ('update', 'status'))[i % 4]
    ref = {'resource': 'pods', 'apiVersion': 'v1', 'namespace': 'n', **({'subresource': subresource} if subresource else {})}
    return {'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'level': 'Metadata', 'auditID': f'{i:06}',
            'stage': 'ResponseComplete', 'verb': verb, 'userAgent': 'x' * (i * 7919 % 900), 'objectRef': ref}


def lines():
    """Mostly events; here and there a list of two, a line that is broken, and an event in CloudWatch's wrapper."""
    for i in range(EVENTS):
        text = json.dumps(event(i))
        if i % 5003 == 17:
            items = [{k: v for k, v in event(f).items() if k not in ('kind', 'apiVersion')} for f in (i, i + EVENTS)]
            yield json.dumps({'kind': 'EventList', 'apiVersion': 'audit.k8s.io/v1', 'items': items})
        elif i % 3001 == 19:
            yield text
            yield text[:-1]
        elif i % 7001 == 23:
            yield json.dumps({'timestamp': 1, 'message': text})
        else:
            yield text


def expected():
    ids = {c: [] for c in CLASSES}
    for i in range(EVENTS):
        ids[('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')[i % 4]].append(f'{i:06}')
        if i % 5003 == 17:
            ids[('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')[(i + EVENTS) % 4]].append(f'{i + EVENTS:06}')
    return ids


@pytest.mark.parametrize('memory, inputs', [('32MiB', 1), ('4MiB', 7)])
def test_order_and_numbers_are_those_of_the_source(router, memory, inputs):
    text = list(lines())
    broken = [n for n, line in enumerate(text, 1) if line.startswith('{"kind": "Event"') and not line.endswith('}}')]
    router.write('audit.log', '\n'.join(text) + '\n')
    router.write('audit-router.yaml', f'memory_max: {memory}\n' + CONFIG + ''.join(
        f'  log{i}: {{ type: file, path: audit.log }}\n' for i in range(inputs)))
    result = router('run', '--once', '-c', 'audit-router.yaml')
    assert result.returncode == 1   # for the broken lines
    for i in range(inputs):
        for class_, ids in expected().items():
            out = (router.folder / f'out/log{i}/{class_.lower()}.ndjson').read_text().splitlines()
            assert [json.loads(line)['auditID'] for line in out] == ids
    letters = [json.loads(line) for line in (router.folder / 'state/dead-letters/inputs.ndjson').read_text().splitlines()]
    for i in range(inputs):
        where = [letter['where'] for letter in letters if letter['input'] == f'log{i}']
        assert [int(text.rpartition(':')[2]) for text in where] == broken
