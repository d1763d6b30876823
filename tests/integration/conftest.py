"""
What all integration tests have: fixtures over harness.py.

Marks: `slow` takes more than five seconds or so, `broker` needs a real Kafka broker; both are left out where the program runs
under sanitizers.
"""
import gzip
import signal
import subprocess

import pytest

import broker as rig
# CLASSES and BUILD for tests that take them from here
from harness import BUILD, CLASSES, PROGRAM, TOP, Router, end_started  # noqa: F401


def interrupted(*_):
    raise KeyboardInterrupt


def pytest_configure(config):
    signal.signal(signal.SIGTERM, interrupted)  # fixtures are closed: no broker and no folder of one stays behind
    config.addinivalue_line('markers', 'slow: takes more than five seconds or so')
    config.addinivalue_line('markers', 'broker: needs a real Kafka broker')


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """A test that failed must not slow down the next ones."""
    yield
    end_started()


@pytest.fixture
def router(tmp_path):
    if not PROGRAM.exists():
        pytest.fail(f'{PROGRAM} is not there: ./dev build')
    return Router(tmp_path)


@pytest.fixture(scope='session')
def shared_broker():
    """One for all; its groups may miss a dead member within seconds, and transactions end soon."""
    if rig.missing():
        pytest.skip(f'no broker: {rig.missing()} is missing')
    with rig.Broker(properties='group.min.session.timeout.ms=1000\n') as b:
        yield b


@pytest.fixture
def prefix(request):
    """What the names of a test's own topics begin with."""
    return f'{request.module.__name__}.{request.node.name}'.translate(str.maketrans('[]', '..')).strip('.')


@pytest.fixture
def broker(shared_broker):
    """It runs, whatever the test before did to it."""
    if not shared_broker.runs():
        shared_broker.kill()
        shared_broker.start()
    return shared_broker


@pytest.fixture(scope='session')
def audit_log(tmp_path_factory):
    """The recorded log, unpacked: 9,000 events."""
    path = tmp_path_factory.mktemp('data') / 'audit.log'
    path.write_bytes(gzip.decompress((TOP / 'tests' / 'data' / 'audit.log.gz').read_bytes()))
    return path


@pytest.fixture
def generated_log(tmp_path):
    """generated_log('20MB', seed=7): a generated log of that size."""
    def make(size, seed=1):
        path = tmp_path / f'generated-{size}-{seed}.log'
        with open(path, 'wb') as out:
            subprocess.run([TOP / 'build' / 'tests' / 'bench' / 'generate', '--bytes', size, '--seed', str(seed)],
                           stdout=out, check=True)
        return path
    return make
