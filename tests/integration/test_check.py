"""check and reference as a user calls them: what goes where, and the exit status."""

GOOD = 'inputs: {a: {type: stdin}}\noutputs: {b: {type: file, path: "out/{class}"}}\n'


def test_a_good_file_shows_where_each_class_goes(router):
    done = router('check', '-c', router.write('c.yaml', GOOD + 'data_access: {ADMIN_READ: off}\n'))
    assert done.returncode == 0 and done.stderr == ''
    lines = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
    assert lines == {c: 'off' if c == 'ADMIN_READ' else f'b: {router.folder}/out/{c.lower()}'
                     for c in ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')}
    assert list(router.folder.iterdir()) == [router.folder / 'c.yaml']


def test_all_problems_are_told_in_the_order_of_the_file(router):
    router.write('c.yaml', 'inptus: {}\nmemory_max: ${SECRET}\noutputs: {a: {type: fil}}\n')
    done = router('check', '-c', 'c.yaml', env={'SECRET': 'hunter2'})
    assert done.returncode == 1 and done.stdout == b''
    assert done.stderr.splitlines() == [
        'c.yaml:1:1: error: unknown key "inptus"; did you mean "inputs"?',
        'c.yaml:1:1: error: inputs is missing',
        'c.yaml:2:13: error: memory_max takes a size with its unit (512KiB, 64MiB, 1GB), not "${SECRET}"',
        'c.yaml:3:21: error: unknown type "fil"; did you mean "file"?',
        'c.yaml: 4 errors, 0 warnings']


def test_a_warning_is_no_error(router):
    router.write('c.yaml', GOOD.replace('"out', '"out/{class}/{date}", queue: 1GiB}, c: {type: file, path: "out'))
    done = router('check', '-c', 'c.yaml')
    assert done.returncode == 0
    assert done.stderr == 'c.yaml:2:62: warning: queue is above memory_max, which bounds all queues together\n'


def test_a_file_that_cannot_be_read_is_named(router):
    """Warned of: who checks may do so elsewhere. A webhook does not start without its own, and says which."""
    router.write('c.yaml', 'state_dir: state\nredact: off\ninputs:\n  a: {type: webhook, listen: "127.0.0.1:1", token_file: token,\n'
                 '    tls: {cert_file: here.pem, key_file: gone/key.pem}}\noutputs: {b: {type: "null"}}\n')
    router.write('here.pem', 'any')
    expected = [f'c.yaml:4:{len("""  a: {type: webhook, listen: "127.0.0.1:1", token_file: """) + 1}: warning: token_file: {router.folder}/token',
                f'c.yaml:5:{len("    tls: {cert_file: here.pem, key_file: ") + 1}: warning: key_file: {router.folder}/gone/key.pem']
    done = router('check', '-c', 'c.yaml')
    assert done.returncode == 0
    assert done.stderr.splitlines() == [line + ' cannot be read: No such file or directory' for line in expected]
    done = router('run', '-c', 'c.yaml')
    assert done.returncode == 1
    assert f'c.yaml:4:3: input "a": {router.folder}/token: cannot be read: No such file' in done.stderr


def test_the_classifier_is_checked_too(router):
    done = router('check', '-c', router.write('c.yaml', GOOD + 'classifier: {override: {secret-raeds: DATA_READ}}\n'))
    assert done.returncode == 1
    assert 'c.yaml:3:25: error:' in done.stderr and 'secret-reads' in done.stderr
    router.write('mine.yaml', 'rules:\n- id: a\n  class: DATA_REED\n')
    done = router('check', '-c', router.write('c.yaml', GOOD + 'classifier: {file: mine.yaml}\n'))
    assert done.returncode == 1
    assert f'{router.folder}/mine.yaml:3:10: error:' in done.stderr


def test_standard_input_and_relative_paths(router):
    done = router('check', '-c', '-', stdin=GOOD.encode())
    assert done.returncode == 0 and f'{router.folder}/out/data_read'.encode() in done.stdout
    done = router('check', '-c', '-', stdin=b'x: 1')
    assert done.returncode == 1 and done.stderr.startswith('<stdin>:1:1: error: ')
    done = router('check', '-c', '-', stdin=GOOD.encode('utf-16'))
    assert done.returncode == 0


def test_hostile_files_end_with_a_sentence(router):
    for name, content, message in (
            ('empty', b'', 'c.yaml:1:1: error: empty'),
            ('zeros', b'\0' * 1000, 'c.yaml:1:1: error: '),
            ('binary', bytes(range(256)) * 100, 'c.yaml:1:1: error: '),
            ('deep', b'[' * 100000, 'nested deeper than 100 levels'),
            ('large', b'#' * (9 << 20), 'c.yaml: error: longer than 8 MiB'),
            ('bomb', b'a: &a [x,x,x,x,x,x,x,x]\n' + b''.join(
                b'%c: &%c [%s]\n' % (98 + i, 98 + i, b','.join([b'*%c' % (97 + i)] * 8)) for i in range(20)),
             'more than 1000000 values')):
        router.write('c.yaml', content)
        done = router('check', '-c', 'c.yaml', timeout=20)
        assert done.returncode == 1 and message in done.stderr, name


def test_usage(router):
    for arguments in (('check',), ('check', '-x'), ('check', '-c'), ('check', '-c', 'a', 'b'), ('reference', 'x'), ('reference', '-x')):
        assert router(*arguments).returncode == 2, arguments
    for command in ('check', 'reference'):
        done = router(command, '--help')
        assert done.returncode == 0 and done.stdout.startswith(b'usage: audit-router ' + command.encode())
    assert router('check', '-c', 'absent.yaml').stderr.startswith('absent.yaml: error: cannot be read: No such file')
    assert router('check', '-c', router.folder).returncode == 1
