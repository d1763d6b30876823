"""SIGHUP: classifier, data_access and selectors are taken over between two events; what is broken leaves all as it was."""
import json
import signal
import subprocess

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


class Running:
    def __init__(self, router):
        self.router, self.sent = router, 0
        self.config('{}', '{}')
        self.process = router.start('run', '-c', 'audit-router.yaml', stdin=subprocess.PIPE)

    def config(self, override, data_access, more=''):
        self.router.write('audit-router.yaml', CONFIG % (override, data_access, more))

    def stderr(self):
        return (self.router.folder / 'stderr').read_text()

    def wait(self, condition, what):
        wait_for(condition, lambda: f'{what}: {self.stderr()}')

    def hup(self, word):
        before = self.stderr().count(word)
        self.process.send_signal(signal.SIGHUP)
        self.wait(lambda: self.stderr().count(word) > before, word)

    def send(self, class_):
        """One event, which must come out in this class."""
        self.sent += 1
        self.process.stdin.write((EVENT % self.sent).encode())
        self.process.stdin.flush()
        path = self.router.folder / 'out' / f'{class_}.log'
        self.wait(lambda: str(self.sent) in [json.loads(line)['auditID'] for line in whole_lines(path)], f'{self.sent} in {class_}')


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
