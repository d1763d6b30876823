"""What the documents tell people to copy works."""
import re

import pytest

from harness import TOP


def blocks(document, language):
    return re.findall(rf'^```{language}\n(.*?)^```$', (TOP / document).read_text(), re.M | re.S)


def configurations(document):
    return [b for b in blocks(document, 'yaml') if re.search(r'^outputs:', b, re.M)]


@pytest.mark.parametrize('document', ['README.md'])
def test_configurations_are_right(router, document):
    found = configurations(document)
    assert found
    for text in found:
        done = router('check', '-c', router.write('audit-router.yaml', text))
        assert done.returncode == 0, done.stderr
        assert not [line for line in done.stderr.splitlines() if not line.endswith('cannot be read: No such file or directory')]


def test_every_command_of_the_readme_is_there(router):
    usage = router('--help').stdout.decode()
    named = set(re.findall(r'^audit-router ([a-z-]+)', (TOP / 'README.md').read_text(), re.M))
    assert named
    for command in named:
        assert f'audit-router {command}' in usage
        assert router(command, '--help').returncode == 0


def test_dev_lists_what_it_can_do():
    text = (TOP / 'dev').read_text()
    listed = set(re.findall(r'^## ([a-z0-9]+)', text, re.M))
    done = set(re.findall(r'^do_([a-z0-9]+)\(\)', text, re.M))
    assert listed == done
