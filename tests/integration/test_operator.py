"""What who runs the program sees of it: the log, the sums of SIGUSR1, the table at the end."""
import http.client
import json
import re
import signal
import socket

from collector import Collector
from harness import PATIENCE_S, wait_for
from ports import free_port

VERBS = (('create', 'pods', ''), ('list', 'pods', ''), ('get', 'pods', 'log'), ('update', 'pods', 'status'))


def event(number, user='u'):
    verb, resource, subresource = VERBS[number % 4]
    ref = {'resource': resource, 'namespace': 'n', 'name': 'x', 'apiVersion': 'v1', 'subresource': subresource}
    return json.dumps({'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'level': 'Metadata', 'auditID': str(number),
                       'stage': 'ResponseComplete', 'requestURI': '/api/v1/x', 'verb': verb, 'user': {'username': user},
                       'objectRef': ref}) + '\n'


def fields(line):
    return {key: int(value) if value.isdigit() else value for key, value in re.findall(r'(\w+)=(\w+)', line)}


def told(text, message):
    return [fields(line.split('" ', 1)[1]) for line in text.splitlines() if f'msg="{message}" ' in line]


def test_sums_hold_every_line_that_came(router):
    """Of a running service: what no output got is in them too, by class and reason."""
    users = ['u', 'kubelet', 'u', 'noisy']
    lines = [event(i, users[i // 4 % 4]) for i in range(160)] + ['no event\n', '\n', '{"kind":"Pod"}\n']
    router.write('audit.log', ''.join(lines))
    router.write('policy.yaml', 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- { level: None, users: [noisy] }\n- level: RequestResponse\n')
    router.write('audit-router.yaml', """
state_dir: state
inputs: { log: { type: file, path: audit.log } }
data_access: { ADMIN_READ: off, DATA_READ: { exempt: [kubelet] } }
policy: policy.yaml
outputs:
  all: { type: file, path: 'all/{class}.ndjson' }
  few: { type: file, path: 'few/{class}.ndjson', only: { users: [kubelet] } }
""")
    process = router.start('run', '-c', 'audit-router.yaml')
    errors = router.folder / 'stderr'

    # 4 classes less the one that is off, for each output: 6 lines
    text = wait_for(lambda: asked_of(process, errors, 160, 6), errors.read_text)
    classes = {c['class']: c for c in told(text, 'classified')[-4:]}
    accounts = told(text, 'account')[-6:]
    assert told(text, 'input')[-1] == {'input': 'log', 'lines': 163, 'events': 160, 'dead': 2, 'gaps': 0, 'troubles': 0}
    assert {name: (c['events'], c['off'], c['exempt'], c['policy']) for name, c in classes.items()} == {
        'ADMIN_ACTIVITY': (40, 0, 0, 10), 'ADMIN_READ': (40, 40, 0, 0), 'DATA_READ': (40, 0, 10, 10), 'DATA_WRITE': (40, 0, 0, 10)}
    for a in accounts:
        assert a['received'] == a['delivered'] + a['dropped'] + a['dead'] + a['held']


def asked_of(process, errors, events, n):
    """
    SIGUSR1, and what the log holds by now, once one answer is whole (a line an input, 4 classes, n accounts) and all has got to the
    lanes: a class counts its events before its lanes do.
    """
    process.send_signal(signal.SIGUSR1)
    text = errors.read_text()
    inputs, classes, accounts = told(text, 'input'), told(text, 'classified'), told(text, 'account')
    if not inputs or len(classes) != 4 * len(inputs) or len(accounts) != n * len(inputs):
        return None
    wanted = {c['class']: c['events'] - c['off'] - c['exempt'] - c['policy'] for c in classes[-4:]}
    done = sum(c['events'] for c in classes[-4:]) == events and all(
        a['held'] == 0 and a['received'] == wanted[a['class']] for a in accounts[-n:])
    return text if done else None


def test_a_service_says_what_it_runs(router):
    router.write('audit.log', event(0))
    router.write('audit-router.yaml', "state_dir: state\ninputs: { log: { type: file, path: audit.log } }\n"
                 "outputs: { all: { type: file, path: 'all/{class}.ndjson' } }\n")
    router.start('run', '-c', 'audit-router.yaml')
    text = wait_for((router.folder / 'stderr').read_text)
    assert re.search(r'level=info msg="audit-router [0-9.]+ runs audit-router.yaml: 1 inputs?, 1 outputs?, state in \S*state"', text), text


def test_a_lane_says_that_it_falls_behind_and_has_caught_up(router):
    with Collector() as c:
        c.fail(503, seconds=PATIENCE_S)
        router.write('audit.log', ''.join(event(i) for i in range(400)))
        router.write('audit-router.yaml', f"""
state_dir: state
inputs: {{ log: {{ type: file, path: audit.log }} }}
outputs: {{ siem: {{ type: http, url: '{c.url('/x/{class}')}', spool_after: 100ms, retry_max: 100ms }} }}
""")
        router.start('run', '-c', 'audit-router.yaml')
        errors = router.folder / 'stderr'
        wait_for(lambda: errors.read_text().count('falls behind') == 4, errors.read_text)
        c.heal()
        wait_for(lambda: errors.read_text().count('has caught up') == 4, errors.read_text)
        for name in ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE'):
            assert re.search(rf'msg="falls behind[^"]*" output=siem class={name}', errors.read_text())


def test_the_end_says_where_the_rest_is_and_what_an_output_had(router):
    """A dead collector beside a file: held in its spool, and when the collector is back nothing comes twice."""
    config = """
state_dir: state
once_wait: 3s
inputs: { log: { type: file, path: audit.log } }
outputs:
  disk: { type: file, path: 'disk/{class}.ndjson' }
  siem: { type: http, url: 'http://127.0.0.1:PORT/', spool: SPOOL, spool_after: 100ms, retry_max: 100ms }
"""
    router.write('audit.log', ''.join(event(i) for i in range(400)))
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        dead = config.replace('PORT', str(closed.getsockname()[1]))
        done = router.once(dead.replace('SPOOL', 'on'))
        assert done.returncode == 1
        assert done.stderr.count('what is left of it stays in its spool"') == 4, done.stderr
        assert done.stderr.count(', 100 held\n') == 4, done.stderr
        router.folder.joinpath('state').rename(router.folder / 'state.before')
        router.folder.joinpath('disk').rename(router.folder / 'disk.before')
        done = router.once(dead.replace('SPOOL', 'off'))
        assert done.stderr.count('what is left of it stays at the source"') == 4, done.stderr
        assert 'in its spool' not in done.stderr
    with Collector() as c:
        alive = config.replace('http://127.0.0.1:PORT/', c.url('/all')).replace('SPOOL', 'off')
        done = router.once(alive)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(', 100 it had before the restart') == 4, done.stderr
        assert len(c.lines('/all')) == 400


def test_refused_requests_are_told_with_who_sent_them_and_no_secret(router):
    port = free_port()
    router.write('audit-router.yaml', f"""
state_dir: state
inputs: {{ api: {{ type: webhook, listen: '127.0.0.1:{port}', token: right-one }} }}
outputs: {{ all: {{ type: file, path: 'all/{{class}}.ndjson' }} }}
""")
    router.start('run', '-c', 'audit-router.yaml')
    errors = router.folder / 'stderr'

    def post():
        try:
            c = http.client.HTTPConnection('127.0.0.1', port, timeout=PATIENCE_S)
            c.request('POST', '/', b'{}', {'Authorization': 'Bearer wrong-one'})
            return c.getresponse().status
        except ConnectionError:
            return None
    assert wait_for(post) == 401
    wait_for(lambda: 'msg="input api: a request from 127.0.0.1 is answered 401: no token, or another one"' in errors.read_text(),
             errors.read_text)
    for _ in range(50):
        assert post() == 401
    text = errors.read_text()
    assert text.count('is answered 401') < 20     # one a second and place, not one a request
    assert 'right-one' not in text and 'wrong-one' not in text


def test_without_its_state_nothing_is_safe(router):
    """A spool in a folder that was removed is gone with the process: a client must not be told otherwise. Put back, all goes on."""
    port = free_port()
    router.write('audit-router.yaml', f"""
state_dir: state
shutdown_wait: 100ms
inputs: {{ api: {{ type: webhook, listen: '127.0.0.1:{port}' }} }}
outputs: {{ dead: {{ type: http, url: 'http://127.0.0.1:1/', spool_after: 50ms }} }}
""")
    process = router.start('run', '-c', 'audit-router.yaml')
    errors, state = router.folder / 'stderr', router.folder / 'state'

    def post(number, timeout=PATIENCE_S):
        try:
            c = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
            c.request('POST', '/', event(number))
            return c.getresponse().status
        except (ConnectionError, TimeoutError):
            return None
    assert wait_for(lambda: post(0)) == 200
    state.rename(router.folder / 'elsewhere')
    assert post(1, timeout=2) != 200
    wait_for(lambda: 'was removed or moved: nothing counts as safe' in errors.read_text(), errors.read_text)
    router.folder.joinpath('elsewhere').rename(state)
    assert wait_for(lambda: post(2)) == 200
    state.rename(router.folder / 'elsewhere')
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 1
