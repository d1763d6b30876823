#!/usr/bin/env python3
"""Sums up the JUnit files of a test run: a line a suite, what failed, what was skipped and why, and the closing line."""
import argparse
import pathlib
import sys
import xml.etree.ElementTree as xml

# What each file is called, in the order in which they run.
NAMES = {
    'plain': 'lint, unit, property, fuzz replay',
    'asan+ubsan': 'the same under ASan and UBSan',
    'tsan': 'threaded ones under TSan',
    'integration': 'integration, build/audit-router',
    'integration-asan': 'integration, quick ones under ASan and UBSan',
    'conformance': 'conformance to kube-apiserver',
    'conformance-asan': 'conformance, under ASan and UBSan',
}


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped, self.seconds = 0, [], [], 0.0

    def read(self, path):
        for case in xml.parse(path).iter('testcase'):
            name = f"{case.get('classname', '')}: {case.get('name', '')}"
            if case.find('failure') is not None or case.find('error') is not None:
                self.failed.append(name)
            elif case.find('skipped') is not None:
                self.skipped.append((name, case.find('skipped').get('message') or 'no reason given'))
            else:
                self.passed += 1
            self.seconds += float(case.get('time') or 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('--seconds', type=int, required=True)
    options = parser.parse_args()
    files = {p.stem: p for p in options.folder.iterdir() if p.suffix in ('.xml', '.failed')}
    passed, failed, skipped = 0, [], []
    print()
    for stem in sorted(files, key=lambda s: (list(NAMES) + [s]).index(s)):
        tally = Tally()
        if options.folder.joinpath(stem + '.xml').exists():
            tally.read(options.folder / (stem + '.xml'))
        if options.folder.joinpath(stem + '.failed').exists() and not tally.failed:
            tally.failed.append('the run ended badly though no test of it says so')
        print(f'{NAMES.get(stem, stem):46} {tally.passed:6} passed {len(tally.failed):4} failed {len(tally.skipped):4} skipped')
        passed += tally.passed
        failed += [f'{stem}: {name}' for name in tally.failed]
        skipped += tally.skipped
    for name, why in skipped:
        print(f'skipped: {name} ({why})')
    for name in failed:
        print(f'FAILED: {name}')
    print(f'in {options.seconds // 60} min {options.seconds % 60} s')
    if not files:
        print('no test was run')
    print(f'{passed} passed, {len(failed)} failed, {len(skipped)} skipped')
    return bool(failed) or not files or not passed


if __name__ == '__main__':
    sys.exit(main())
