"""
What integration tests import: where things are, and a way to run the program.

AUDIT_ROUTER names the program (default build/audit-router).
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get('AUDIT_ROUTER', TOP / 'build' / 'audit-router')).resolve()
BUILD = PROGRAM.parent
CLASSES = ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')
# How long a test waits before it fails: only what never comes costs it, so it allows for the slowest of machines.
PATIENCE_S = 240
STARTED = []    # processes that a test has started: conftest.py ends those that it left running
AT_END = []     # functions that it calls then


def wait_for(condition, what='', seconds=PATIENCE_S):
    """Until it is true; its value. `what` is a text, or a function that makes one, for the case that it never is."""
    end = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if value := condition():
            return value
        assert begun < end, f'not within {seconds} s: {what() if callable(what) else what}'
        time.sleep(max(0.02, time.monotonic() - begun))     # leaves half of the time to what is waited for


def whole_lines(path):
    """Of a file that somebody may be writing: a part of a line is no line. Of one that is not there: none."""
    return path.read_bytes().rpartition(b'\n')[0].splitlines() if path.exists() else []


def end_started():
    while AT_END:
        AT_END.pop()()
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def make_certificates(folder):
    """
    Two authorities, ca and other; server and client of the first, stranger of the second: NAME.pem and NAME.key each. A
    function: the path of one of these.
    """
    if not shutil.which('openssl'):
        pytest.skip('openssl is not there')
    folder.mkdir()
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

    def openssl(*arguments):
        subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)

    for name in ('ca', 'other'):
        openssl('req', '-x509', *key, '-keyout', f'{name}.key', '-out', f'{name}.pem', '-days', '2', '-subj', f'/CN={name}')
    (folder / 'ext').write_text('subjectAltName=IP:127.0.0.1\n')
    for name, authority in (('server', 'ca'), ('client', 'ca'), ('stranger', 'other')):
        openssl('req', *key, '-keyout', f'{name}.key', '-out', f'{name}.csr', '-subj', f'/CN={name}')
        openssl('x509', '-req', '-in', f'{name}.csr', '-CA', f'{authority}.pem', '-CAkey', f'{authority}.key',
                '-CAcreateserial', '-out', f'{name}.pem', '-days', '2', '-extfile', 'ext')
    return lambda name: str(folder / name)


def wait_until_it_holds_signals(process):
    """From here on SIGTERM, SIGHUP and SIGUSR1 wait for the program to serve them. An ended one holds none."""
    mask = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        try:
            status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
        except OSError:
            continue
        if any(int(line.split()[1], 16) & mask for line in status.splitlines() if line.startswith('SigBlk:')):
            return
        time.sleep(0.002)


class Router:
    """Runs the program in a folder of its own, where its configuration and what it writes lie."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def __call__(self, *arguments, stdin=b'', timeout=PATIENCE_S, env=None):
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

    def start(self, *arguments, errors='stderr', again=False, **more):
        """
        Starts it and comes back when a signal will be served: a Popen whose stderr goes to the file `errors` of its folder,
        behind what is in it or instead of that. The end of the test ends it.
        """
        with open(self.folder / errors, 'ab' if again else 'wb') as stderr:
            process = subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=self.folder, stderr=stderr, **more)
        STARTED.append(process)
        if arguments[0] == 'run':
            wait_until_it_holds_signals(process)
        return process
