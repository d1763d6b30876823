"""
What all integration tests have: the program, a way to run it, and data.

AUDIT_ROUTER names the program (default build/audit-router). Marks: `slow` takes more than five seconds or so, `broker` needs
a real Kafka broker; both are left out where the program runs under sanitizers.
"""
import gzip
import os
import pathlib
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get('AUDIT_ROUTER', TOP / 'build' / 'audit-router')).resolve()
BUILD = PROGRAM.parent
CLASSES = ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes more than five seconds or so')
    config.addinivalue_line('markers', 'broker: needs a real Kafka broker')


class Router:
    """Runs the program in a folder of its own, where its configuration and what it writes lie."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def __call__(self, *arguments, stdin=b'', timeout=120, env=None):
        """Runs it to its end: a CompletedProcess with bytes in stdout and text in stderr."""
        done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                              cwd=self.folder, env={**os.environ, **(env or {})}, check=False)
        done.stderr = done.stderr.decode(errors='replace')
        assert 'AddressSanitizer' not in done.stderr and 'runtime error' not in done.stderr, done.stderr
        assert done.returncode >= 0, f'ended by signal {-done.returncode}\n{done.stderr}'
        return done

    def once(self, config, **more):
        """`run --once` with this configuration text."""
        return self('run', '--once', '-c', self.write('audit-router.yaml', config), **more)

    def start(self, *arguments, **more):
        """Starts it and comes back: a Popen whose stderr goes to the file `stderr` of its folder."""
        with open(self.folder / 'stderr', 'wb') as stderr:
            return subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=self.folder, stderr=stderr, **more)


@pytest.fixture
def router(tmp_path):
    if not PROGRAM.exists():
        pytest.fail(f'{PROGRAM} is not there: ./dev build')
    return Router(tmp_path)


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
