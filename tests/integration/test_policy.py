"""Policies in the pipeline: at the top and under an output, counted by rule; check tells what is wrong with them."""
import gzip
import json
import re

from harness import CLASSES, TOP

POLICIES = TOP / 'config' / 'policies'
CONFIG = '''
state_dir: state
inputs: {{a: {{type: file, path: {log}{cluster}}}}}
policy: {policy}
redact: off
outputs:
  f: {{type: file, path: "out/{{class}}.ndjson"{more}}}
'''


def lines(router):
    found = []
    for c in CLASSES:
        path = router.folder / 'out' / f'{c.lower()}.ndjson'
        found += path.read_bytes().splitlines() if path.exists() else []
    return sorted(found)


def dropped(stderr):
    """received = delivered + dropped, by class, from the table."""
    for row in re.split(r'\n(?=[A-Z_]{6,} )', stderr)[1:]:
        received = int(row.split()[1])
        by_policy = re.search(r'dropped by policy: (\d+)', row)
        lane = re.search(r'-> f +(\d+)', row)
        by_rule = re.search(r', (\d+) dropped by rule', row)
        yield received, *(int(m[1]) if m else 0 for m in (lane, by_policy, by_rule))


def test_at_the_top_and_under_an_output(router, audit_log):
    gke, cheap = POLICIES / 'gke.yaml', POLICIES / 'minimal-cost.yaml'
    done = router.once(CONFIG.format(log=audit_log, cluster='', policy=gke, more=f', policy: {cheap}'))
    assert done.returncode == 0, done.stderr
    first = router('policy', 'apply', '-p', gke, audit_log).stdout
    second = router('policy', 'apply', '-p', cheap, stdin=first).stdout
    assert lines(router) == sorted(second.splitlines())
    counts = list(dropped(done.stderr))
    assert sum(c[0] for c in counts) == 9000 and all(c[0] == c[1] + c[2] + c[3] for c in counts), done.stderr
    assert sum(c[2] for c in counts) == 9000 - len(first.splitlines())
    by_rule = re.findall(r'^dropped by \S*gke.yaml: (\d+) events', done.stderr, re.M)
    assert sum(map(int, by_rule)) == sum(c[2] for c in counts)


def test_what_nothing_touches_keeps_its_bytes(router, audit_log):
    everything = router.write('all.yaml', 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n')
    assert router.once(CONFIG.format(log=audit_log, cluster='', policy=everything, more='')).returncode == 0
    assert lines(router) == sorted(audit_log.read_bytes().splitlines())


def test_audit_filter_knows_the_cluster(router, audit_log):
    rules = router.write('filter.yaml', '''
apiVersion: audit-router/v1
kind: AuditFilter
rules:
- {verdict: keep, codes: [4xx]}
- {verdict: drop, clusters: [test-1], users: ["system:*"]}
- {level: Metadata, clusters: [test-1]}
- {verdict: drop}
''')
    assert router.once(CONFIG.format(log=audit_log, cluster=', cluster: test-1', policy=rules, more='')).returncode == 0
    events = [json.loads(line.decode(errors='replace')) for line in lines(router)]
    failed = [e for e in events if 400 <= e.get('responseStatus', {}).get('code', 0) < 500]
    assert failed and len(events) > len(failed)
    for e in events:
        if e not in failed:
            assert e['level'] == 'Metadata' and 'requestObject' not in e and 'responseObject' not in e
            assert not e['user'].get('username', '').startswith('system:')


def test_a_refused_policy_stops_the_start(router, audit_log):
    bad = router.write('bad.yaml', 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: metadata\n')
    config = CONFIG.format(log=audit_log, cluster='', policy='bad.yaml', more=', policy: none.yaml')
    for verb, weight in (('check',), 'error: '), (('run', '--once'), ''):
        done = router(*verb, '-c', router.write('audit-router.yaml', config))
        assert done.returncode == 1
        assert f'{bad}:4:10: {weight}rules[0].level: Unsupported value: "metadata"' in done.stderr
        assert verb[0] == 'run' or 'none.yaml: error: cannot be read' in done.stderr
    assert not (router.folder / 'out').exists()
