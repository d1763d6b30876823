"""
Runs the program. AUDIT_ROUTER names it (default build/audit-router).
"""
import json
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
DATA = TOP / 'tests' / 'data'
POLICIES = TOP / 'config' / 'policies'
PROGRAM = pathlib.Path(os.environ.get('AUDIT_ROUTER', TOP / 'build' / 'audit-router')).resolve()


def run(*arguments, stdin=b''):
    """Runs the program: a CompletedProcess with bytes in stdout and text in stderr."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, timeout=120, check=False)
    done.stderr = done.stderr.decode(errors='replace')
    assert done.returncode in (0, 1, 2), f'ended by {done.returncode}\n{done.stderr}'
    return done


def explain(policy, *files, stdin=b''):
    return [json.loads(line) for line in run('policy', 'explain', '-p', policy, *files, stdin=stdin).stdout.splitlines()]
