"""The program against what kube-apiserver itself decided: bundles of tests/data/policy, recorded from k8s.io/apiserver."""
import tarfile

import pytest

from program import DATA


@pytest.fixture(scope='session')
def bundle(tmp_path_factory):
    """bundle('vectors'): the folder with the files of tests/data/policy/vectors.tar.gz."""
    folder = tmp_path_factory.mktemp('policy')

    def unpack(name):
        path = folder / f'policy-{name}'
        if not path.exists():
            with tarfile.open(DATA / 'policy' / f'{name}.tar.gz') as tar:
                tar.extractall(folder)
        return path
    return unpack


@pytest.fixture
def write(tmp_path):
    """write('policy.yaml', text): a file in a folder of the test's own."""
    def make(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return make
