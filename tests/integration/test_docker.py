"""
The image of docker/ is built and run with whatever is to be had: docker, podman, or buildah (which needs no daemon).

The base is debian:bookworm-slim where it can be pulled, else a Debian 12 made by debootstrap.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from harness import TOP, CLASSES

pytestmark = pytest.mark.slow

ROUTE = """\
state_dir: /trial/state
redact: off
inputs: { log: { type: stdin } }
outputs: { files: { type: file, path: '/trial/{class}.ndjson' } }
"""


NO_PACKAGES = re.compile('Failed to fetch|Temporary failure resolving|Could not resolve|Unable to fetch|Could not connect')


def call(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, check=False, **more)


def works(*command):
    return shutil.which(command[0]) and call(*command).returncode == 0


class Docker:
    """docker, or podman, which takes the same commands."""

    def __init__(self, name):
        self.name = name

    def pull(self, image):
        return call(self.name, 'pull', '-q', image).returncode == 0

    def import_base(self, tar, image):
        assert call(self.name, 'import', tar, image).returncode == 0

    def build(self, image, base):
        return call(self.name, 'build', '--build-arg', f'BASE={base}', '-f', TOP / 'docker' / 'Dockerfile', '-t', image, TOP)

    def run(self, image, *command, folder=None, **more):
        mounts = ['-v', f'{folder}:/trial'] if folder else []
        return call(self.name, 'run', '--rm', '-i', *mounts, '--entrypoint', command[0], image, *command[1:], **more)

    def close(self):
        pass


class Buildah:
    """Images and containers in a folder of the test's own; no daemon, no namespaces. A container copies its image: one for all."""

    def __init__(self, folder):
        self.folder, self.containers = folder, {}
        self.options = ['buildah', '--root', folder / 'root', '--runroot', folder / 'run', '--storage-driver', 'vfs']

    def pull(self, image):
        return call(*self.options, 'pull', '-q', image).returncode == 0

    def import_base(self, tar, image):
        container = call(*self.options, 'from', 'scratch').stdout.decode().strip()
        assert call(*self.options, 'add', '-q', container, tar, '/').returncode == 0
        assert call(*self.options, 'commit', '-q', container, image).returncode == 0
        call(*self.options, 'rm', container)

    def build(self, image, base):
        return call(*self.options, 'bud', '--isolation', 'chroot', '--build-arg', f'BASE={base}', '-f',
                    TOP / 'docker' / 'Dockerfile', '-t', image, TOP)

    def run(self, image, *command, folder=None, **more):
        if image not in self.containers:
            self.containers[image] = call(*self.options, 'from', '--pull-never', image).stdout.decode().strip()
            assert self.containers[image]
        mounts = ['-v', f'{folder}:/trial'] if folder else []
        return call(*self.options, 'run', '--isolation', 'chroot', *mounts, self.containers[image], '--', *command, **more)

    def close(self):
        for container in self.containers.values():
            call(*self.options, 'rm', container)
        call(*self.options, 'rmi', '--all', '--force')


def debian_by_debootstrap():
    """A tar of a minimal Debian 12, made once and kept, or None. The way to the packages is the host's."""
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache')) / 'audit-router'
    tar = cache / 'debian-12-minbase.tar'
    if tar.exists():
        return tar
    if os.geteuid() != 0 or not shutil.which('debootstrap'):
        return None
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        if call('debootstrap', '--variant=minbase', 'bookworm', f'{folder}/debian').returncode:
            return None
        made = call('tar', '-C', f'{folder}/debian', '--exclude=./dev/*', '-cf', f'{folder}/debian.tar', '.')
        assert made.returncode == 0, made.stderr
        os.replace(f'{folder}/debian.tar', tar)
    return tar


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp('containers')
    if works('docker', 'info'):
        chosen = Docker('docker')
    elif works('podman', 'info'):
        chosen = Docker('podman')
    elif os.geteuid() == 0 and works('buildah', '--version'):
        chosen = Buildah(folder)
    else:
        pytest.skip('neither docker nor podman with an engine, nor buildah as root')
    yield chosen
    chosen.close()


@pytest.fixture(scope='module')
def image(engine):
    base = 'docker.io/library/debian:bookworm-slim'
    if not engine.pull(base):
        tar = debian_by_debootstrap()
        if not tar:
            pytest.skip('debian:bookworm-slim cannot be pulled, and debootstrap does not make one')
        base = 'localhost/audit-router-test-base'
        engine.import_base(tar, base)
    built = engine.build('localhost/audit-router-test', base)
    output = (built.stdout + built.stderr).decode(errors='replace')
    if built.returncode and NO_PACKAGES.search(output):
        pytest.skip("Debian's packages cannot be had here")
    assert built.returncode == 0, output[-3000:]
    return 'localhost/audit-router-test'


def test_the_image_runs_as_nobody_in_particular(engine, image):
    assert engine.run(image, 'id', '-u').stdout.strip() == b'65532'
    assert engine.run(image, 'sh', '-c', 'command -v gcc meson').stdout == b''
    assert engine.run(image, 'audit-router', '--help').returncode == 0


def test_the_image_routes_the_recorded_log(engine, image, audit_log, tmp_path):
    tmp_path.joinpath('audit-router.yaml').write_text(ROUTE)
    tmp_path.chmod(0o777)
    with open(audit_log, 'rb') as log:
        done = engine.run(image, 'audit-router', 'run', '--once', '-c', '/trial/audit-router.yaml', folder=tmp_path, stdin=log)
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-3000:]
    arrived = [line for c in CLASSES for line in (tmp_path / f'{c.lower()}.ndjson').read_bytes().splitlines()]
    assert sorted(arrived) == sorted(audit_log.read_bytes().splitlines())
    for path in tmp_path.glob('*.ndjson'):
        assert path.stat().st_uid == 65532


def test_the_configuration_of_the_compose_file_is_right(router):
    done = router('check', '-c', TOP / 'docker' / 'audit-router.yaml')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', ['fleet-agent', 'fleet-router'])
def test_the_configurations_of_the_fleet_are_right(router, name):
    names = {'CLUSTER_NAME': 'north', 'KAFKA_BROKERS': 'kafka:9092', 'AUDIT_LOG': 'audit.log'}
    done = router('check', '-c', TOP / 'docker' / f'{name}.yaml', env=names)
    assert done.returncode == 0, done.stderr


def test_the_compose_file_is_right():
    if not works('docker', 'compose', 'version'):
        pytest.skip('no docker compose')
    done = call('docker', 'compose', '-f', TOP / 'docker' / 'compose.yaml', 'config', '-q')
    assert done.returncode == 0, done.stderr
