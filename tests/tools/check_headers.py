#!/usr/bin/env python3
"""Each header compiles alone: what it uses, it includes."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys


def check(header):
    compiler = os.environ.get('CC', 'cc').split()
    run = subprocess.run(compiler + ['-std=gnu17', '-D_GNU_SOURCE', '-Wall', '-Werror', '-fsyntax-only', '-I.', '-include',
                                     str(header), '-x', 'c', os.devnull], capture_output=True, text=True)
    return run.stderr if run.returncode else ''


def main():
    headers = [h for top in ('router', 'classifiers', 'config') for h in sorted(pathlib.Path(top).rglob('*.h'))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        trouble = [t for t in pool.map(check, headers) if t]
    print('\n'.join(trouble) or f'headers: {len(headers)} compile alone')
    return bool(trouble)


if __name__ == '__main__':
    sys.exit(main())
