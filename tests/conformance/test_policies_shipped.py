"""The policies of config/policies: each loads, lints as its comments say, and does on real logs what it says."""
import collections
import gzip
import json

import pytest

from program import DATA, POLICIES, explain, run

LOG = DATA / 'audit.log.gz'


@pytest.fixture(scope='module')
def events():
    return [json.loads(line.decode(errors='replace')) for line in gzip.open(LOG)]


def written(policy, events):
    """The decision on each event that the policy writes, with the event."""
    decisions = explain(POLICIES / policy, LOG)
    assert len(decisions) == len(events)
    return [(d, e) for d, e in zip(decisions, events) if d['level'] != 'None' and not d['omitted']]


@pytest.mark.parametrize('policy, warnings', [
    ('gke.yaml', 0), ('kubernetes-example.yaml', 1), ('secrets.yaml', 2), ('minimal-cost.yaml', 0), ('security.yaml', 0)])
def test_checked(policy, warnings):
    done = run('policy', 'check', POLICIES / policy)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == warnings, done.stderr


def test_all_are_tested():
    assert len(list(POLICIES.glob('*.yaml'))) == 5


def test_gke_as_on_gce():
    """The level of every event that a real server logged under GCE's policy, and nothing that it logged is left out."""
    log = DATA / 'policy' / 'gce-audit.log.gz'
    logged = [json.loads(line.decode(errors='replace'))['level'] for line in gzip.open(log)]
    decided = [d['level'] if not d['omitted'] else 'omitted' for d in explain(POLICIES / 'gke.yaml', log)]
    assert len(logged) == 8127
    assert [(i, a, b) for i, (a, b) in enumerate(zip(logged, decided)) if a != b] == []


def test_secrets(events):
    kept = written('secrets.yaml', events)
    assert kept and not any(e['verb'] in ('get', 'list', 'watch') or e['stage'] == 'RequestReceived' for _, e in kept)
    secrets = [d for d, e in kept if e.get('objectRef', {}).get('resource') == 'secrets']
    assert secrets and all(d['level'] == 'Metadata' for d in secrets)


def test_minimal_cost_is_small_and_keeps_changes(events):
    kept = written('minimal-cost.yaml', events)
    assert {d['level'] for d, _ in kept} == {'Metadata'}
    out = run('policy', 'apply', '-p', POLICIES / 'minimal-cost.yaml', LOG).stdout
    assert len(out) < 0.1 * sum(len(line) for line in gzip.open(LOG))
    alice = [e for e in events if e['user'].get('username') == 'alice' and e['stage'] == 'ResponseComplete' and
             e['verb'] in ('create', 'update', 'patch', 'delete') and e.get('objectRef', {}).get('resource') != 'events']
    ids = {e['auditID'] for _, e in kept}
    assert alice and all(e['auditID'] in ids for e in alice)


def test_security_keeps_what_detections_need(events):
    kept = written('security.yaml', events)
    stages = collections.defaultdict(set)
    for _, e in kept:
        stages[e['auditID']].add(e['stage'])

    def all_kept(wanted):
        found = [e for e in events if e['stage'] != 'RequestReceived' and wanted(e)]
        assert found
        assert [e['requestURI'] for e in found if e['stage'] not in stages[e['auditID']]] == []
    code = lambda e: e.get('responseStatus', {}).get('code', 0)
    all_kept(lambda e: code(e) == 401)
    all_kept(lambda e: code(e) == 403 and not e['user'].get('username', '').startswith('system:'))
    all_kept(lambda e: e.get('objectRef', {}).get('subresource') in ('exec', 'attach', 'portforward'))
    all_kept(lambda e: e.get('objectRef', {}).get('resource') == 'secrets' and e['verb'] == 'get' and
             e['user'].get('username') != 'system:apiserver')
    for d, e in kept:
        ref = e.get('objectRef', {})
        if (ref.get('apiGroup', ''), ref.get('resource'), ref.get('subresource')) in (
                ('', 'secrets', None), ('', 'configmaps', None), ('', 'serviceaccounts', 'token'),
                ('authentication.k8s.io', 'tokenreviews', None)):
            assert d['level'] == 'Metadata', e['requestURI']
