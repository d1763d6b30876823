"""Loading, validation and decisions equal kube-apiserver's: every file of the three bundles, and a whole recorded log."""
import gzip
import json
import re

from program import DATA, explain, run


def bare(messages, path):
    """The sentences of stderr's lines, without place and weight; with continued lines put together."""
    return [re.sub(rf'^{re.escape(str(path))}:\d+:\d+: (error|warning): ', r'\1: ', line) for line in messages.splitlines()]


def test_refused_in_upstreams_words(bundle):
    seen = 0
    for policy in sorted(bundle('refused').glob('*.yaml')):
        wanted = policy.with_suffix('.err').read_text().splitlines()
        done = run('policy', 'check', policy)
        assert done.returncode == 1, policy.name
        lines = done.stderr.splitlines()
        assert all(re.match(rf'{re.escape(str(policy))}:\d+:\d+: ', line) for line in lines), (policy.name, lines)
        errors = [line[7:] for line in bare(done.stderr, policy) if line.startswith('error: ')]
        for line in (w for w in wanted if w and not w.startswith('warning: ')):
            assert any(e.startswith(line) for e in errors), (policy.name, line, errors)
        assert len(errors) == len([w for w in wanted if w and not w.startswith('warning: ')]), (policy.name, errors)
        seen += 1
    assert seen == 63


def test_accepted_and_understood(bundle):
    seen = 0
    for policy in sorted(bundle('accepted').glob('*.yaml')):
        done = run('policy', 'check', '--print', policy)
        assert done.returncode == 0, (policy.name, done.stderr)
        assert json.loads(done.stdout) == json.loads(policy.with_suffix('.json').read_text()), policy.name
        wanted = policy.with_suffix('.out').read_text()
        warned = [line[9:] for line in bare(done.stderr, policy) if line.startswith('warning: strict decoding error: ')]
        fields = re.findall(r'unknown field "[^"]+"|duplicate field "[^"]+"|line \d+: key "[^"]+" already set in map', wanted)
        assert len(warned) == len(fields), (policy.name, warned, fields)
        assert all(any(f in w for w in warned) for f in fields), (policy.name, warned, fields)
        seen += 1
    assert seen == 24


def without_rule(decisions):
    return [{key: d[key] for key in d if key != 'rule'} for d in decisions]


def test_decisions_and_what_is_written(bundle):
    folder = bundle('vectors')
    seen = 0
    for policy in sorted(folder.glob('policy-*.yaml')):
        number = policy.stem[-3:]
        events = folder / f'events-{number}.ndjson'
        wanted = [json.loads(line) for line in open(folder / f'expected-{number}.ndjson')]
        assert without_rule(explain(policy, events)) == wanted, number
        written = run('policy', 'apply', '-p', policy, events).stdout.splitlines()
        applied = (folder / f'applied-{number}.ndjson').read_bytes().splitlines()
        assert len(written) == len(applied), number
        kept = [w for w in wanted if w['level'] != 'None' and not w['omitted']]
        for got, want, decision in zip(written, applied, kept):
            if decision['omitManagedFields']:
                assert json.loads(got) == json.loads(want), (number, decision)
            else:
                assert got == want, (number, decision)
        seen += len(wanted)
    assert seen == 4000


def test_the_servers_own_log():
    """What a real server running mixed.yaml decided on each of 9,000 requests' stages."""
    wanted = [json.loads(line) for line in gzip.open(DATA / 'policy' / 'mixed.expected.ndjson.gz')]
    assert without_rule(explain(DATA / 'policy' / 'mixed.yaml', DATA / 'audit.log.gz')) == wanted
    assert len(wanted) == 9000
