"""Dead letters, and who clears their files while the router runs."""
import json

import pytest

from harness import wait_for, whole_lines

CONFIG = """
state_dir: state
inputs: { log: { type: file, path: audit.log } }
outputs: { out: { type: file, path: '{class}.ndjson' } }
"""
FULL = 'dead_letters_max: 64KiB\n' + CONFIG


def no_event(number, size=0):
    return json.dumps({'number': number, 'text': 'x' * size}) + '\n'


def numbers(path):
    return [json.loads(line)['event']['number'] for line in whole_lines(path)]


def append(path, text):
    with open(path, 'a') as file:
        file.write(text)


def end(process):
    process.terminate()
    return process.wait()


@pytest.fixture
def letters(router):
    return router.folder / 'state/dead-letters/inputs.ndjson'


@pytest.fixture(params=['move', 'remove', 'truncate'])
def clear(request, router, letters):
    """What an operator may do to the file."""
    return {
        'move': lambda: letters.rename(router.folder / 'moved.ndjson'),
        'remove': letters.unlink,
        'truncate': lambda: letters.write_bytes(b''),
    }[request.param]


def checkpointed(router):
    path = router.folder / 'state/checkpoint.json'
    return path.exists() and json.loads(path.read_text())['inputs'].get('log', {}).get('position', 0) > 0


def test_behind_a_cleared_file_nothing_is_lost(router, letters, clear):
    log = router.write('audit.log', no_event(1))
    process = router.start('run', '-c', router.write('audit-router.yaml', CONFIG))
    wait_for(lambda: numbers(letters) == [1])
    wait_for(lambda: checkpointed(router))  # so it was synced: a removed file takes it along
    clear()
    moved = router.folder / 'moved.ndjson'
    if moved.exists():
        assert router('replay', '-c', 'audit-router.yaml', 'moved.ndjson').returncode == 1
        assert numbers(router.folder / 'state/replay/dead-letters/inputs.ndjson') == [1]
    append(log, no_event(2))
    wait_for(lambda: numbers(letters) == [2])
    assert end(process) == 0
    router('run', '--once', '-c', 'audit-router.yaml')  # what was passed comes from nowhere again
    assert numbers(letters) == [2]
    assert not moved.exists() or numbers(moved) == [1]


def test_a_full_file_that_is_cleared_takes_letters_again(router, letters, clear):
    router.write('audit.log', ''.join(no_event(i, 20000) for i in range(5)))
    process = router.start('run', '-c', router.write('audit-router.yaml', FULL))
    wait_for(lambda: 'dead letters are full' in (router.folder / 'stderr').read_text())

    def has_the_rest():
        if numbers(letters) == [0, 1, 2]:
            clear()     # once more where they were not synced when the file was removed: they are written again
        return numbers(letters) == [3, 4]

    wait_for(has_the_rest)
    assert end(process) == 0
    assert numbers(letters) == [3, 4]


def test_once_leaves_an_input_whose_dead_letters_are_full(router, letters):
    """The other one goes on, and the next run takes the rest up."""
    events = [json.dumps({'kind': 'Event', 'apiVersion': 'audit.k8s.io/v1', 'stage': 'ResponseComplete', 'verb': 'list',
                          'auditID': str(i), 'requestURI': '/api/v1/pods', 'objectRef': {'resource': 'pods', 'apiVersion': 'v1'}})
              for i in range(100)]
    router.write('audit.log', ''.join(no_event(i, 20000) for i in range(5)))
    router.write('other.log', ''.join(event + '\n' for event in events))
    config = 'once_wait: 2s\n' + FULL.replace('inputs: {', 'inputs: { other: { type: file, path: other.log },')
    done = router.once(config)
    assert done.returncode == 1
    assert 'no events: 3 lines' in done.stderr
    assert 'input log had no room in ' in done.stderr and 'input other' not in done.stderr
    assert whole_lines(router.folder / 'admin_read.ndjson') == [event.encode() for event in events]
    assert numbers(letters) == [0, 1, 2]
    # With room for them, the next run takes up what was left: the whole span.
    assert router.once(config.replace('64KiB', '1MiB')).returncode == 1
    assert numbers(letters) == [0, 1, 2, 0, 1, 2, 3, 4]
    assert router.once(config).returncode == 0
    assert whole_lines(router.folder / 'admin_read.ndjson') == [event.encode() for event in events]


def test_replayed_events_leave_as_of_the_input_and_cluster_that_they_came_from(router):
    def config(more):
        return ('state_dir: state\ncluster: home\nredact: off\ninputs:\n  a: { type: file, path: a.log, cluster: east }\n'
                '  b: { type: file, path: b.log }\noutputs:\n'
                f'  out: {{ type: file, path: "out/{{cluster}}/{{input}}/{{class}}"{more} }}\n')

    events = {name: json.dumps({'kind': 'Event', 'stage': 'ResponseComplete', 'verb': 'list', 'auditID': name, 'requestURI': '/api/v1/pods',
                               'objectRef': {'resource': 'pods', 'apiVersion': 'v1'}, 'note': 'x' * 2000})
              for name in 'ab'}
    for name, event in events.items():
        router.write(f'{name}.log', event + '\n')
    assert router.once(config(', max_event_bytes: 1KiB')).returncode == 1
    letters = router.folder / 'state/dead-letters/outputs/out.ndjson'
    assert sorted((letter['input'], letter['cluster']) for letter in map(json.loads, whole_lines(letters))) == [('a', 'east'), ('b', 'home')]
    router.write('audit-router.yaml', config(''))
    assert router('replay', '-c', 'audit-router.yaml', letters).returncode == 0
    assert whole_lines(router.folder / 'out/east/a/admin_read') == [events['a'].encode()]
    assert whole_lines(router.folder / 'out/home/b/admin_read') == [events['b'].encode()]
