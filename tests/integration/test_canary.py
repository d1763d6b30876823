"""A secret planted wherever Kubernetes is known to log one is found nowhere behind the router: not in files, not at a
collector, not in spools, dead letters or logs."""
import base64
import json

import pytest

import clouds
from collector import Collector

CANARY = 'cAnArY-7h1s-must-n0t-be-seen'
CODED = base64.b64encode(CANARY.encode()).decode()
JWT = 'eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.' + base64.urlsafe_b64encode(CANARY.encode()).decode().rstrip('=') + '.c2lnbmF0dXJl'
LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'


def ref(resource, subresource=None, **more):
    return {'resource': resource, 'namespace': 'shop', 'name': 'x', **({'subresource': subresource} if subresource else {}), **more}


def secret(**more):
    return {'kind': 'Secret', 'apiVersion': 'v1', 'metadata': {'name': 'x'}, **more}


def pod(value):
    return {'kind': 'Pod', 'spec': {'containers': [{'name': 'c', 'env': [{'name': 'PASSWORD', 'value': value}]}]}}


def escaped(value):
    """JSON text with the letters of its keys and kinds escaped: it means the same."""
    return json.dumps(value).replace('"data"', '"\\u0064ata"').replace('"Secret"', '"\\u0053ecret"')


APPLIED = json.dumps(secret(data={'password': CODED})) + '\n'

# place: what the event has there
PLACES = {
    'object': {'objectRef': ref('secrets'), 'requestObject': secret(data={'p': CODED})},
    'string_data': {'objectRef': ref('secrets'), 'requestObject': secret(stringData={'p': CANARY})},
    'response': {'objectRef': ref('secrets'), 'responseObject': secret(data={'p': CODED}, stringData={'q': CANARY})},
    'list': {'objectRef': ref('secrets'), 'verb': 'list',
             'responseObject': {'kind': 'SecretList', 'items': [{'metadata': {'name': 'a'}, 'data': {'p': CODED}}]}},
    'list_kind_last': {'objectRef': ref('other'), 'responseObject': {'items': [{'data': {'p': CODED}}], 'kind': 'SecretList'}},
    'nested_list': {'objectRef': ref('templates'),
                    'requestObject': {'kind': 'Template', 'objects': [{'kind': 'List', 'items': [secret(data={'p': CODED})]}]}},
    'table': {'objectRef': ref('secrets'), 'responseObject': {'kind': 'Table', 'rows': [{'cells': ['a'], 'object': {'data': {'p': CODED}}}]}},
    'json_patch': {'objectRef': ref('secrets'), 'verb': 'patch', 'requestObject': [
        {'op': 'add', 'path': '/data/p', 'value': CODED}, {'op': 'test', 'value': {'q': CANARY}, 'path': '/stringData'}]},
    'json_patch_whole': {'objectRef': ref('secrets'), 'verb': 'patch', 'requestObject': [
        {'op': 'replace', 'path': '', 'value': {'data': {'p': CODED}}}]},
    'json_patch_escapes': {'objectRef': ref('secrets'), 'verb': 'patch', 'requestObject': [
        {'op': 'add', 'path': '/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration', 'value': APPLIED},
        {'op': 'add', 'path': '/data/a~0b~1c', 'value': CODED}]},
    'merge_patch': {'objectRef': ref('secrets'), 'verb': 'patch', 'requestObject': {'data': {'p': CODED, 'gone': None}}},
    'strategic_patch': {'objectRef': ref('secrets'), 'verb': 'patch',
                        'requestObject': {'$patch': 'merge', 'stringData': {'p': CANARY}, 'metadata': {'$retainKeys': []}}},
    'apply_patch': {'objectRef': ref('secrets'), 'verb': 'patch', 'requestObject':
                    {'apiVersion': 'v1', 'data': {'p': CODED}, 'kind': 'Secret', 'metadata': {'name': 'x'}}},
    'last_applied': {'objectRef': ref('secrets'), 'requestObject': {'metadata': {'annotations': {LAST_APPLIED: APPLIED}}}},
    'last_applied_elsewhere': {'objectRef': ref('pods'), 'responseObject': {'kind': 'X', 'metadata': {'annotations': {LAST_APPLIED: APPLIED}}}},
    'last_applied_cut': {'objectRef': ref('secrets'), 'requestObject': {'metadata': {'annotations': {LAST_APPLIED: APPLIED[:-5]}}}},
    'other_text': {'objectRef': ref('pods'), 'requestObject': {'metadata': {'annotations': {'kapp.k14s.io/original': APPLIED}}}},
    'managed_fields': {'objectRef': ref('secrets'), 'requestObject': {'kind': 'Secret', 'metadata': {'managedFields': [
        {'fieldsV1': {'f:data': {'.': {}, f'v:"{CANARY}"': {}}}}]}}},
    'webhook_patch': {'objectRef': ref('secrets'), 'annotations': {'patch.webhook.admission.k8s.io/round_0_index_0': json.dumps(
        {'configuration': 'c', 'patch': [{'op': 'add', 'path': '/data/p', 'value': CODED}], 'patchType': 'JSONPatch'})}},
    'error_message': {'objectRef': ref('secrets'), 'responseStatus': {'code': 400, 'message':
                      f'illegal base64 data at input byte 3, error found in #10 byte of ...|"p":"{CANARY}"}}|..., bigger context ...|x|...'}},
    'token_request': {'objectRef': ref('serviceaccounts', 'token'), 'responseObject': {'kind': 'TokenRequest', 'status': {'token': CANARY}}},
    'token_review': {'objectRef': ref('tokenreviews'), 'requestObject': {'kind': 'TokenReview', 'spec': {'token': CANARY}}},
    'jwt_in_text': {'objectRef': ref('pods'), 'requestObject': {'spec': {'args': [f'--token={JWT} --x']}}},
    'jwt_in_annotation': {'objectRef': ref('pods'), 'annotations': {'a.b/c': f'called with {JWT}.'}},
    'jwt_in_user_agent': {'userAgent': f'curl {JWT}'},
    'jwt_in_message': {'responseStatus': {'code': 401, 'message': f'cannot verify "{JWT}"'}},
    'bearer': {'userAgent': f'curl -H "Authorization: Bearer {CANARY}"'},
    'url': {'requestURI': f'/api/v1/pods?watch=1&access_token={CANARY}&limit=500'},
    'url_name_escaped': {'requestURI': f'/logs?%74oken={CANARY}'},
    'exec': {'objectRef': ref('pods', 'exec'), 'requestURI':
             f'/api/v1/namespaces/shop/pods/x/exec?command=curl&command=-H&command=Authorization%3A+Bearer+{CANARY}&stdin=true'},
    'env': {'objectRef': ref('pods'), 'requestObject': pod(CANARY)},
    'env_in_template': {'objectRef': ref('deployments', apiGroup='apps'), 'requestObject': {'spec': {'template': pod(CANARY)}}},
    'env_in_last_applied': {'objectRef': ref('pods'), 'requestObject': {'metadata': {'annotations': {LAST_APPLIED: json.dumps(pod(CANARY))}}}},
    'env_patch': {'objectRef': ref('pods'), 'verb': 'patch', 'requestObject': [
        {'op': 'add', 'path': '/spec/containers/0/env/-', 'value': {'name': 'A', 'value': CANARY}},
        {'op': 'replace', 'path': '/spec/containers/0/env/0/value', 'value': CANARY}]},
    'configmap': {'objectRef': ref('configmaps'), 'requestObject': {'data': {'p': CANARY}, 'binaryData': {'q': CODED}}},
    'custom': {'objectRef': ref('databases', apiGroup='example.com'), 'requestObject': {'spec': {'password': CANARY}}},
    'custom_patch': {'objectRef': ref('databases', apiGroup='example.com'), 'verb': 'patch',
                     'requestObject': [{'op': 'add', 'path': '/spec', 'value': {'password': CANARY}}]},
    'custom_list': {'objectRef': ref('databases', apiGroup='example.com'), 'verb': 'list',
                    'responseObject': {'items': [{'spec': {'password': CANARY}}]}},
    'user': {'user': {'username': f'person-{CANARY}', 'groups': ['system:authenticated']}, 'sourceIPs': ['10.0.0.1']},
}

REDACT = """
redact:
  - secrets
  - tokens
  - env
  - configmaps
  - rule: database-passwords
    resources: [{ group: example.com, resources: [databases] }]
    path: [requestObject.spec.password, responseObject.spec.password]
  - rule: people
    path: [user.username, 'sourceIPs[*]']
    action: pseudonym
    key_file: key
"""


def event(place, more):
    return {'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'level': 'RequestResponse', 'auditID': place, 'stage': 'ResponseComplete',
            'requestURI': '/x', 'verb': 'create', 'user': {'username': 'system:admin'}, 'sourceIPs': ['127.0.0.1'],
            'responseStatus': {'metadata': {}, 'code': 200}, **more}


# Google's entries have no query of a URL, and no other user than a request's own.
NOT_IN_LOG_ENTRIES = ('url', 'url_name_escaped', 'exec')


def halves(place, more):
    """The parts of a split LogEntry: each text of its request in two pieces."""
    def piece(value, index):
        if isinstance(value, dict):
            return {k: piece(v, index) if k not in ('@type', 'kind') else v for k, v in value.items()}
        half = len(value) // 2 if isinstance(value, str) else 0
        return (value[:half], value[half:])[index] if half else value

    for index in range(2):
        entry = clouds.log_entry(event(place + f'-half-{index}', more), split=(place, index, 2))
        entry['protoPayload']['request'] = piece(entry['protoPayload']['request'], index)
        yield clouds.line(entry).decode()


SPLIT = ('object', 'string_data', 'merge_patch', 'last_applied', 'token_review', 'configmap')
COPIES = ('', '-escaped', '-eks', '-aks', '-gke')


def lines():
    """Each place as Go writes JSON, once more with what is looked for escaped, and as other clouds export it."""
    for place, more in PLACES.items():
        yield json.dumps(event(place, more), separators=(',', ':')).replace('&', '\\u0026')
        yield escaped(event(place + '-escaped', more))
        yield clouds.eks(json.dumps(event(place + '-eks', more)).encode()).decode()
        yield next(clouds.aks_records([escaped(event(place + '-aks', more)).encode()])).decode()
        yield clouds.line(clouds.log_entry(event(place + '-gke', more))).decode()
        if place in SPLIT:
            yield from halves(place, more)


def broken():
    whole = json.dumps(event('cut', PLACES['object']))
    yield whole[:whole.index(CODED) + len(CODED)]
    yield whole + '}'
    yield json.dumps({'text': json.dumps(event('text', PLACES['merge_patch']))})
    wrapped = json.dumps(event('wrapped', PLACES['merge_patch']))
    yield clouds.eks((wrapped[:-9] + '[Truncated...]').encode()).decode()
    yield clouds.aks(wrapped[:wrapped.index(CODED) + len(CODED)].encode()).decode()
    yield clouds.eks(clouds.eks(wrapped.encode())).decode()
    yield json.dumps({**clouds.log_entry(event('other', PLACES['object'])), 'protoPayload': {'serviceName': 'x', 'request': PLACES['object']}})
    yield json.dumps({'logName': 'x', 'jsonPayload': secret(data={'p': CODED})})
    yield json.dumps(secret(data={'p': CODED}))
    yield f'not JSON at all {JWT}'
    yield json.dumps({**event('no stage', PLACES['env']), 'stage': 1})
    url = json.dumps(event('url', PLACES['url'])).replace('&', '\\u0026')
    yield url[:url.index('"verb"')]
    yield clouds.eks(url[:url.index('"verb"')].encode()).decode()
    yield '{"kind":"EventList","items":[' + json.dumps(event('first', {'requestURI': '/x?a=b'})) + ',' + url
    message = json.dumps(event('message', PLACES['error_message']))
    yield message[:-9]
    yield from json.dumps(event('pretty', PLACES['object']), indent=2).splitlines()
    yield whole[whole.index('"data"') + 9:]


def assert_nowhere(folder, *texts):
    needles = [CANARY.encode(), CODED.encode(), JWT.encode(), JWT.split('.')[1].encode()]
    # The dead letters keep what is no JSON as base64: at any of three alignments.
    for skip in range(3):
        for canary in (CANARY.encode(), CODED.encode(), CODED.encode('utf-16-le'), CODED.encode('utf-16-be')):
            needles.append(base64.b64encode(b'\0' * skip + canary)[4:-4])
    found = [(str(p), n) for p in folder.rglob('*') if p.is_file() and p.name not in ('audit.log', 'key', 'audit-router.yaml')
             for n in needles if n in p.read_bytes()]
    found += [(i, n) for i, text in enumerate(texts) for n in needles if n in text]
    assert not found


def config(url, more='', once_wait='120s'):
    return (f'state_dir: state\nonce_wait: {once_wait}\n{REDACT}inputs: {{ log: {{ type: file, path: audit.log }} }}\noutputs:\n'
            f'  archive: {{ type: file, path: "archive/{{class}}" }}\n'
            f'  siem: {{ type: http, url: "{url}", retry_min: 10ms, retry_max: 100ms{more} }}\n')


@pytest.fixture
def planted(router):
    router.write('key', '0123456789abcdef0123456789abcdef\n')
    # UTF-16: the line, and what is left of its newline
    wide = (json.dumps(event('utf-16', PLACES['object'])) + '\n').encode('utf-16')
    router.write('audit.log', ('\n'.join([*lines(), *broken()]) + '\n').encode() + wide)
    return router


def arrived(folder):
    return {e.get('auditID') or e['operation']['id']: e for p in sorted((folder / 'archive').iterdir()) for e in map(json.loads, p.read_text().splitlines())}


def test_nowhere_in_outputs_and_dead_letters(planted):
    with Collector() as c:
        done = planted.once(config(c.url('/all')))
        sent = b'\n'.join(c.lines('/all'))
    assert done.returncode == 1  # there are dead letters
    assert_nowhere(planted.folder, sent, done.stderr.encode())
    events = arrived(planted.folder)
    assert len(events) == len(COPIES) * len(PLACES) + 2 * len(SPLIT) == len(sent.splitlines())
    names = [place + copy for place in PLACES for copy in COPIES if copy != '-gke' or place not in NOT_IN_LOG_ENTRIES]
    for place in names + [f'{place}-half-{i}' for place in SPLIT for i in range(2)]:
        text = json.dumps(events[place])
        assert '[redacted]' in text or 'hmac:' in text, place
    assert sum(1 for _ in broken()) + 2 == sum(len(p.read_text().splitlines()) for p in
                                           (planted.folder / 'state' / 'dead-letters').glob('inputs*'))
    assert 'redacted values: ' in done.stderr


def test_nowhere_in_dead_letters_without_own_rules(planted):
    """Own rules leave nothing of a line that is no event; what the kinds alone leave holds no secret either."""
    planted.write('audit.log', (planted.folder / 'audit.log').read_bytes()[sum(len(line.encode()) + 1 for line in lines()):])
    done = planted.once('state_dir: state\nredact: [secrets, tokens, env, configmaps]\ninputs: { log: { type: file, path: audit.log } }\n'
                        'outputs: { archive: { type: file, path: "archive/{class}" } }\n')
    assert done.returncode == 1
    assert_nowhere(planted.folder, done.stderr.encode())
    kept = [json.loads(line) for line in (planted.folder / 'state/dead-letters/inputs.ndjson').read_text().splitlines()]
    assert sum(1 for _ in broken()) + 2 == len(kept)


def test_nowhere_in_spools(planted):
    with Collector() as c:
        c.fail(503)
        done = planted.once(config(c.url('/all'), once_wait='2s'))
        sent = b'\n'.join(c.lines('/all'))
    assert done.returncode == 1
    assert any(p.stat().st_size for p in (planted.folder / 'state' / 'spool').rglob('*') if p.is_file())
    assert_nowhere(planted.folder, sent, done.stderr.encode())


def test_nowhere_in_dead_letters_of_outputs(planted):
    with Collector() as c:
        c.fail(400)
        done = planted.once(config(c.url('/all')))
    assert done.returncode == 1
    assert any(p.stat().st_size for p in (planted.folder / 'state' / 'dead-letters' / 'outputs').rglob('*') if p.is_file())
    assert_nowhere(planted.folder, done.stderr.encode())


def test_an_output_may_get_less(planted):
    text = config('http://127.0.0.1:1/').replace(REDACT, '\nredact: off\n')
    text = text[:text.index('  siem:')] + '  few: { type: file, path: "few/{class}", redact: [secrets] }\n'
    planted.once(text)
    assert any(CODED.encode() in p.read_bytes() for p in (planted.folder / 'archive').iterdir())
    assert not any(CODED.encode() in p.read_bytes() and b'"secrets"' in p.read_bytes().split(CODED.encode())[0].splitlines()[-1]
                   for p in (planted.folder / 'few').iterdir())


def load(line):
    return json.loads(line.decode(errors='replace'), strict=False)


def test_what_is_no_secret_stays(router, audit_log):
    """Default redaction leaves every event of the recorded log as JSON, and all but those with secrets byte for byte."""
    router.write('audit.log', audit_log.read_bytes())
    done = router.once('state_dir: state\ninputs: { log: { type: file, path: audit.log } }\n'
                       'outputs: { archive: { type: file, path: "archive/{class}" } }\n')
    assert done.returncode == 0, done.stderr
    before = audit_log.read_bytes().splitlines()
    after = [line for path in (router.folder / 'archive').iterdir() for line in path.read_bytes().splitlines()]
    changed = set(after) - set(before)
    assert len(after) == len(before)
    assert len(set(before) - set(after)) == len(changed)
    for line in changed:
        event = load(line)
        assert b'[redacted]' in line
        assert event.get('objectRef', {}).get('resource') in ('secrets', 'serviceaccounts', 'tokenreviews') or b'Secret' in line, line
    assert 0 < len(changed) < len(before) / 2
