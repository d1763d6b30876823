"""
What integration tests import: where things are, and a way to run the program.

AUDIT_ROUTER names the program (default build/audit-router).
"""
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get('AUDIT_ROUTER', TOP / 'build' / 'audit-router')).resolve()
BUILD = PROGRAM.parent
CLASSES = ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')


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
