"""webhook-config: what it prints, read by others: PyYAML where it is there, and as kube-apiserver reads a kubeconfig."""
import json

import pytest


def parse_plain(text):
    """The few forms of YAML that a kubeconfig needs, read without any of our code: blocks, lists, quoted and plain texts."""
    root = {}
    stack = [(-1, root, None, None)]
    for line in text.splitlines():
        indent, content = len(line) - len(line.lstrip(' ')), line.strip()
        if not content:
            continue
        while indent < stack[-1][0] or (indent == stack[-1][0] and not content.startswith('- ')):
            stack.pop()
        if content.startswith('- '):
            while not (stack[-1][2] is not None and indent >= stack[-1][0]):
                stack.pop()
            holder, key = stack[-1][2], stack[-1][3]
            if not isinstance(holder[key], list):
                holder[key] = []
            item = {}
            holder[key].append(item)
            stack.append((indent + 1, item, None, None))
            indent, content = indent + 2, content[2:]
        key, _, value = content.partition(':')
        value = value.strip()
        current = next(s[1] for s in reversed(stack) if isinstance(s[1], dict) and s[0] < indent)
        current[key] = json.loads(value) if value[:1] in '"{' and value else value or {}
        if not value:
            stack.append((indent, current[key], current, key))
    return root


def parse(text):
    plain = parse_plain(text)
    try:
        import yaml
    except ImportError:
        return plain
    assert yaml.safe_load(text) == plain
    return plain


def connection(config):
    """What client-go makes of it: the cluster and the user of the current context."""
    assert config['apiVersion'] == 'v1' and config['kind'] == 'Config'

    def named(kind, name):
        found = [entry for entry in config[kind] if entry['name'] == name]
        assert len(found) == 1
        return found[0][kind[:-1]]
    context = named('contexts', config['current-context'])
    return named('clusters', context['cluster']), named('users', context['user'])


def test_plain(router):
    done = router('webhook-config', '--url', 'http://10.0.0.1:9880/audit')
    assert done.returncode == 0 and done.stderr == ''
    assert connection(parse(done.stdout.decode())) == ({'server': 'http://10.0.0.1:9880/audit'}, {})


def test_everything(router):
    done = router('webhook-config', '--url', 'https://router.example:9880/', '--certificate-authority', '/etc/ca.pem',
                  '--client-certificate', '/etc/client.pem', '--client-key', '/etc/client.key', '--token-file', '/etc/token',
                  '--tls-server-name', 'router')
    cluster, user = connection(parse(done.stdout.decode()))
    assert cluster == {'server': 'https://router.example:9880/', 'certificate-authority': '/etc/ca.pem', 'tls-server-name': 'router'}
    assert user == {'client-certificate': '/etc/client.pem', 'client-key': '/etc/client.key', 'tokenFile': '/etc/token'}


@pytest.mark.parametrize('odd', ['/a b/ca.pem', '/a: b #c.pem', '/"quoted\\.pem', '/ümläut.pem', "/it's", '/a\tb', '- x', '{}', 'yes', '*a'])
def test_odd_names(router, odd):
    done = router('webhook-config', '-u', 'https://x/', '--certificate-authority', odd)
    cluster, user = connection(parse(done.stdout.decode()))
    assert cluster == {'server': 'https://x/', 'certificate-authority': odd} and user == {}


@pytest.mark.parametrize('arguments', [
    [], ['--url', 'router:9880'], ['--url', 'ftp://x/'], ['--url', 'https://x/', 'more'], ['--url', 'https://x/', '--nothing'],
    ['--url', 'https://x/', '--client-certificate', 'a'], ['--url', 'https://x/', '--client-key', 'a'],
    ['--url', 'http://x/', '--token-file', 'a'], ['--url', 'http://x/', '--certificate-authority', 'a']])
def test_refused(router, arguments):
    done = router('webhook-config', *arguments)
    assert done.returncode == 2 and done.stdout == b'' and done.stderr


def test_help(router):
    done = router('webhook-config', '--help')
    assert done.returncode == 0 and b'--audit-webhook-config-file' in done.stdout
