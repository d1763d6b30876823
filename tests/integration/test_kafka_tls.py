"""The Kafka output and a real broker over TLS: who they are for each other, what is said when they are not, and files that change."""
import re
import subprocess

import pytest

import broker as rig
from harness import CLASSES, make_certificates, wait_for
from test_kafka import check_all, check_topic, config, end_of, offset_sum, split

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PASSWORD, OTHER_PASSWORD = 'alice-hush-1', 'alice-hush-2'


@pytest.fixture(scope='module')
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp('tls') / 'tls')


@pytest.fixture(scope='module')
def broker(certificates):
    if rig.missing():
        pytest.skip(f'no broker: {rig.missing()} is missing')
    with rig.Broker(secure=certificates('.'), password=PASSWORD) as b:
        yield b


def tls(ca, certificate=None, key=None):
    ours = f', certificate_file: {certificate}, key_file: {key}' if certificate else ''
    return f'tls: {{ ca_file: {ca}{ours} }}'


def sasl(ca, password_file):
    return f'sasl: {{ mechanism: PLAIN, username: alice, password_file: {password_file} }}\n' + tls(ca)


def stderr_of(router):
    text = (router.folder / 'stderr').read_text()
    assert 'hush' not in text
    return text


def replace(router, name, text):
    """Whole or not at all, as one replaces a secret."""
    router.write(name + '.new', text).rename(router.folder / name)


def test_client_certificate(router, broker, prefix, audit_log, certificates):
    more = tls(certificates('ca.pem'), certificates('client.pem'), certificates('client.key'))
    done = router.once(config(broker.tls, prefix, audit_log, more))
    assert done.returncode == 0, done.stderr
    check_all(broker, prefix, split(router, audit_log))


def test_password_over_tls(router, broker, prefix, audit_log, certificates):
    done = router.once(config(broker.sasl, prefix, audit_log, sasl(certificates('ca.pem'), router.write('password', PASSWORD))))
    assert done.returncode == 0, done.stderr
    check_all(broker, prefix, split(router, audit_log))


@pytest.mark.parametrize('who', ['nobody', 'stranger', 'authority', 'password', 'plain'])
def test_refused(router, broker, prefix, audit_log, certificates, who):
    wrong = router.write('password', OTHER_PASSWORD)
    brokers, more, words = {
        # Java says so by the alert of TLS 1.2, or from some release on by that of TLS 1.3.
        'nobody': (broker.tls, tls(certificates('ca.pem')),
                   r'alert (bad certificate: SSL alert number 42|certificate required: SSL alert number 116) \(the broker refuses our certificate'),
        'stranger': (broker.tls, tls(certificates('ca.pem'), certificates('stranger.pem'), certificates('stranger.key')),
                     r'alert certificate unknown: SSL alert number 46 \(the broker refuses our certificate'),
        'authority': (broker.sasl, sasl(certificates('other.pem'), wrong), 'could not be verified'),
        'password': (broker.sasl, sasl(certificates('ca.pem'), wrong), r'Invalid username or password \(are sasl'),
        'plain': (broker.tls, '', r'do they want tls or sasl\?'),
    }[who]
    process = router.start('run', '--once', '-c', router.write('c.yaml', config(brokers, prefix, audit_log, more)))
    wait_for(lambda: re.search(words, stderr_of(router)) or process.poll() is not None, lambda: stderr_of(router))
    assert process.poll() is None, stderr_of(router)
    process.kill()
    assert offset_sum(broker, prefix) == 0


@pytest.mark.parametrize('more', ['', '\nexactly_once: on'], ids=['at-least-once', 'exactly-once'])
def test_right_password_comes_later(router, broker, prefix, audit_log, certificates, more):
    router.write('password', OTHER_PASSWORD)
    path = router.write('c.yaml', config(broker.sasl, prefix, audit_log, sasl(certificates('ca.pem'), 'password') + more))
    process = router.start('run', '--once', '-c', path)
    wait_for(lambda: re.search('uthentication|transactions cannot be had', stderr_of(router)))
    replace(router, 'password', PASSWORD)
    assert end_of(process) == 0, stderr_of(router)
    check_all(broker, prefix, split(router, audit_log))


def test_right_certificate_comes_later(router, broker, prefix, audit_log, certificates):
    for name in ('pem', 'key'):
        router.write(f'client.{name}', open(certificates(f'stranger.{name}'), 'rb').read())
    more = tls(certificates('ca.pem'), 'client.pem', 'client.key')
    process = router.start('run', '--once', '-c', router.write('c.yaml', config(broker.tls, prefix, audit_log, more)))
    wait_for(lambda: 'certificate' in stderr_of(router))
    for name in ('key', 'pem'):
        replace(router, f'client.{name}', open(certificates(f'client.{name}'), 'rb').read())
    assert end_of(process) == 0, stderr_of(router)
    check_all(broker, prefix, split(router, audit_log))


def test_password_changes_while_all_is_well(router, broker, prefix, audit_log, certificates):
    lines = audit_log.read_bytes().splitlines(keepends=True)
    parts = [router.write('1', b''.join(lines[:4000])), router.write('2', b''.join(lines[4000:]))]
    router.write('password', PASSWORD)
    path = router.write('c.yaml', config(broker.sasl, prefix, None, sasl(certificates('ca.pem'), 'password')))
    process = router.start('run', '--once', '-c', path, stdin=subprocess.PIPE)
    process.stdin.write(parts[0].read_bytes())
    process.stdin.flush()
    wait_for(lambda: offset_sum(broker, prefix) > 3000)
    broker.stop()
    before = broker.config.read_text()
    try:
        broker.config.write_text(before.replace(PASSWORD, OTHER_PASSWORD))
        broker.start()
        process.stdin.write(parts[1].read_bytes())
        process.stdin.close()
        wait_for(lambda: 'uthentication' in stderr_of(router))
        replace(router, 'password', OTHER_PASSWORD)
        assert end_of(process) == 0, stderr_of(router)
    finally:
        process.kill()
        broker.stop()
        broker.config.write_text(before)
        broker.start()
    first, second = (split(router, part) for part in parts)
    for name in CLASSES:
        check_topic(broker.consume(f'{prefix}.{name.lower()}'), first[name] + second[name], name)
