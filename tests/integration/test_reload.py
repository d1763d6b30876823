"""
SIGHUP: classifier, data_access and selectors are taken over between two events; what is broken, and what only a restart can do,
leaves all as it was.
"""
import json
import re
import signal
import subprocess

import pytest

from harness import PATIENCE_S, wait_for, whole_lines

EVENT = ('{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%d","stage":"ResponseComplete",'
         '"requestURI":"/api/v1/secrets","verb":"get","user":{"username":"alice"},"objectRef":{"resource":"secrets",'
         '"name":"x","apiVersion":"v1"},"requestReceivedTimestamp":null,"stageTimestamp":null}\n')
CONFIG = '''
state_dir: state
redact: off
inputs: {i: {type: stdin}}
classifier: {override: %s}
data_access: %s
outputs: {f: {type: file, path: "out/{class}.log"%s}}
'''


class Process:
    def __init__(self, router):
        self.router, self.sent = router, 0
        self.process = router.start('run', '-c', 'audit-router.yaml', stdin=subprocess.PIPE)

    def stderr(self):
        return (self.router.folder / 'stderr').read_text()

    def wait(self, condition, what):
        wait_for(condition, lambda: f'{what}: {self.stderr()}')

    def hup(self, word):
        before = self.stderr().count(word)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: self.stderr().count(word) > before, word)

    def write(self, verb='get'):
        """One event: its number."""
        self.sent += 1
        self.process.stdin.write((EVENT % self.sent).replace('"get"', f'"{verb}"').encode())
        self.process.stdin.flush()
        return self.sent

    def numbers(self, path):
        return [int(json.loads(line)['auditID']) for line in whole_lines(self.router.folder / 'out' / path)]


class Running(Process):
    def __init__(self, router):
        self.router = router
        self.config('{}', '{}')
        super().__init__(router)

    def config(self, override, data_access, more=''):
        self.router.write('audit-router.yaml', CONFIG % (override, data_access, more))

    def send(self, class_):
        """One event, which must come out in this class."""
        number = self.write()
        self.wait(lambda: number in self.numbers(f'{class_}.log'), f'{number} in {class_}')


def test_reload(router):
    run = Running(router)
    run.send('admin_read')

    run.config('{secret-reads: DATA_READ}', '{}')
    run.hup('reloaded')
    run.send('data_read')

    run.config('{secret-raeds: DATA_READ}', '{}')
    run.hup('all stays as it was')
    assert 'secret-reads' in run.stderr()          # the nearest rule is named
    run.send('data_read')

    run.config('{}', '{}', ', sync: never')
    run.hup('reloaded')
    assert 'take a restart: outputs.f.sync' in run.stderr()
    run.send('admin_read')

    run.config('{}', '{ADMIN_READ: {exempt: [bob]}}')
    run.hup('reloaded')
    run.send('admin_read')

    run.config('{}', '{ADMIN_READ: {exempt: [alice]}}')
    run.hup('reloaded')
    run.process.stdin.write((EVENT % 99).encode())
    run.config('{secret-reads: DATA_WRITE}', '{}')
    run.process.stdin.close()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(PATIENCE_S) == 0
    assert '"99"' not in (router.folder / 'out' / 'admin_read.log').read_text()


# ---- outputs that a changed file takes something from ----

OUTPUTS = '''
state_dir: state
redact: off
inputs: {i: {type: stdin}}
data_access: %s
outputs:
  o: {type: file, path: "out/o/{class}.log"}
  %s
'''
P = 'p: {type: file, path: "out/p/{class}.log"%s}'
ALL = P % ''
Q = 'q: {type: file, path: "out/q/{class}.log"}'
READS = P % ', classes: [ADMIN_READ]'
VERBS = {'admin_activity': 'create', 'admin_read': 'get'}
OFF = '{ADMIN_READ: off}'


ACCOUNT = re.compile(r'output=(\w+) class=(\w+) received=(\d+) delivered=(\d+) dropped=(\d+) dead=(\d+) held=(\d+)')


class Outputs(Process):
    """Outputs o and p. What is sent must be in each of them that gets its class: all of it, once and in its order."""

    def __init__(self, router, p=ALL, data_access='{}'):
        self.router, self.expected, self.off = router, {}, 0
        self.gets = {'admin_read': 'op', 'admin_activity': 'op' if p == ALL else 'o'}
        self.lanes = sum(map(len, self.gets.values())) + (4 if p == ALL else 2) - (2 if data_access == OFF else 0)
        self.config(p, data_access)
        super().__init__(router)

    def config(self, p, data_access='{}'):
        self.router.write('audit-router.yaml', OUTPUTS % (data_access, p))

    def taken_over(self, p, data_access='{}'):
        self.config(p, data_access)
        self.hup('reloaded')

    def refused(self, why, p, data_access='{}'):
        self.config(p, data_access)
        before = len(self.stderr())
        self.hup('all stays as it was')
        said = self.stderr()[before:]
        assert f'reload: {why}: that takes a restart' in said
        assert 'reloaded' not in said and 'these keys' not in said

    def send(self, *classes):
        for class_ in classes:
            number = self.write(VERBS[class_])
            for output in self.gets[class_]:
                self.expected.setdefault((output, class_), []).append(number)
                self.wait(lambda path=f'{output}/{class_}.log', n=number: n in self.numbers(path), f'{number} in {output}')

    def send_off(self):
        """A read that data_access drops, and behind it something that comes out."""
        self.write(VERBS['admin_read'])
        self.off += 1
        self.send('admin_activity')

    def end(self):
        self.process.send_signal(signal.SIGUSR1)
        self.wait(lambda: len(ACCOUNT.findall(self.stderr())) == self.lanes, 'accounts')
        for output, class_, *counts in ACCOUNT.findall(self.stderr()):
            received, delivered, dropped, dead, held = map(int, counts)
            assert received == len(self.expected.get((output, class_.lower()), [])) == delivered + dropped + dead + held
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        for (output, class_), numbers in self.expected.items():
            assert self.numbers(f'{output}/{class_}.log') == numbers, f'{output} {class_}: {self.stderr()}'
        assert sum(map(int, re.findall(r'dropped by data_access \(off\): (\d+)', self.stderr()))) == self.off


@pytest.mark.parametrize('p, why', [
    ('', 'there is no output p any more'),
    (Q, 'there is no output p any more'),
    (READS, 'output p gets no ADMIN_ACTIVITY any more'),
], ids=['removed', 'renamed', 'narrowed'])
def test_what_takes_a_restart_takes_nothing_from_an_output(router, p, why):
    run = Outputs(router)
    run.send('admin_activity', 'admin_read')
    run.refused(why, p)
    run.send('admin_activity', 'admin_read')
    run.taken_over(ALL)
    run.send('admin_activity', 'admin_read')
    run.end()


def test_an_output_is_not_added(router):
    run = Outputs(router, READS)
    run.send('admin_activity', 'admin_read')
    run.refused('output p gets ADMIN_ACTIVITY, which it did not get at the start', ALL)
    run.refused('output q gets ADMIN_ACTIVITY, which it did not get at the start', f'{READS}\n  {Q}')
    run.send('admin_activity', 'admin_read')
    run.taken_over(READS)
    run.send('admin_activity', 'admin_read')
    run.end()


def test_a_class_is_switched_off_and_on(router):
    run = Outputs(router)
    run.send('admin_activity', 'admin_read')
    for _ in range(2):
        run.taken_over(ALL, OFF)
        run.send_off()
        run.taken_over(ALL, OFF)
        run.send_off()
        run.taken_over(ALL)
        run.send('admin_activity', 'admin_read')
    run.taken_over(ALL, OFF)
    run.send_off()
    run.end()


def test_a_class_that_was_off_at_the_start_is_not_switched_on(router):
    run = Outputs(router, data_access=OFF)
    run.send_off()
    run.refused('output o gets ADMIN_READ, which it did not get at the start', ALL)
    run.send_off()
    run.taken_over(ALL, OFF)
    run.send_off()
    run.end()


def test_an_output_may_go_with_its_last_class(router):
    """A file with an output all of whose classes are off is an error: with the class, its output must go from it."""
    run = Outputs(router, READS)
    run.send('admin_activity', 'admin_read')
    run.taken_over('', OFF)
    assert 'these keys take a restart: outputs.p' in run.stderr()
    run.send_off()
    run.refused('there is no output p any more', '')
    run.send_off()
    run.taken_over(READS)
    run.send('admin_activity', 'admin_read')
    run.end()
