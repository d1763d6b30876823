#!/usr/bin/env python3
"""
The arrows of router/README.md, enforced, and the other rules that a script can see.

MAY_USE says which headers of other folders each file may include. When a part rightly needs another arrow, add it here
and draw it in router/README.md in the same commit.
"""
import fnmatch
import pathlib
import re
import sys

BASE = 'router/base/*.h'
EVENT = 'router/event/*.h'
MATCH = 'router/match/*.h'
POLICY = 'router/policy/*.h'
CLASSIFIER = 'classifiers/classifier.h'
SETTINGS = 'config/settings.h'
CONFIG = 'config/config.h'
INPUT = 'router/input/input.h'
OUTPUT = 'router/output/output.h'
FORMAT = 'router/format/format.h'
CHUNK, BATCH = 'router/lane/chunk.h', 'router/lane/batch.h'
KAFKA = 'router/kafka/*.h'
COMMITS = 'router/lane/commit_point.h'
LANE = 'router/lane/*.h'
PLAN = 'router/plan.h'

# files: headers of other folders that they may include; the first row that fits a file counts
MAY_USE = {
    'router/base/*': [],
    'router/event/*': [BASE],
    'router/match/*': [BASE, EVENT],
    'router/policy/redact_read.c': [BASE, EVENT, MATCH, SETTINGS, 'config/keys.h', 'config/replaced.h'],
    'router/policy/*': [BASE, EVENT, MATCH, SETTINGS],
    'classifiers/*': [BASE, EVENT, MATCH],
    'config/settings*': [BASE, MATCH],
    'config/*': [BASE, MATCH, POLICY, CLASSIFIER, INPUT, OUTPUT, FORMAT, 'router/output/file_path.h'],
    'router/format/*': [BASE, EVENT, SETTINGS, CONFIG, CLASSIFIER, BATCH],
    'router/kafka/*': [BASE, SETTINGS],
    'router/output/*': [BASE, KAFKA, EVENT, SETTINGS, CONFIG, CLASSIFIER, FORMAT, CHUNK, BATCH, COMMITS, 'router/lane/lane.h', 'router/lane/seq.h'],
    'router/input/*': [BASE, KAFKA, SETTINGS, CONFIG, CHUNK, COMMITS],
    'router/lane/*': [BASE, EVENT, MATCH, CONFIG, CLASSIFIER, OUTPUT, PLAN],
    'router/plan.*': [BASE, EVENT, MATCH, POLICY, CLASSIFIER, CONFIG, OUTPUT],
    'router/cmd/*': [BASE, EVENT, MATCH, POLICY, CLASSIFIER, SETTINGS, CONFIG, CHUNK, INPUT, OUTPUT, FORMAT,
                     'router/input/lines.h', 'router/input/reader.h', PLAN, 'router/pipeline.h'],
    'router/main.c': ['router/cmd/cmd.h', BASE],
    'router/sorter.*': [BASE, EVENT, MATCH, POLICY, CLASSIFIER, CONFIG, INPUT, CHUNK, BATCH, 'router/lane/record.h', PLAN,
                        'router/redaction.h'],
    # pipeline, route and what else stands beside them: the top, where all comes together
    'router/*': [BASE, EVENT, MATCH, POLICY, CLASSIFIER, SETTINGS, CONFIG, INPUT, OUTPUT, FORMAT, LANE],
}

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600  # aim at 500
TOP_FOLDERS = ['router', 'classifiers', 'config', 'tests', 'docker']
ROW_FILES = {  # files that need a row: the meson.build that lists them
    'tests/unit/test_*.c': 'tests/unit/meson.build',
    'tests/property/property_*.c': 'tests/property/meson.build',
    'tests/fuzz/fuzz_*.c': 'tests/fuzz/meson.build',
    'tests/bench/bench_*.c': 'tests/bench/meson.build',
}

BANNED = re.compile(r'\b(strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|atoi|atol|atoll|strtol|strtoul|gets|alloca)\s*\(')
BANNED_IN_PROGRAM = re.compile(r'\b(sleep|usleep|system|popen)\s*\(')
EXIT = re.compile(r'\b_?exit\s*\(')
UNFINISHED = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented')
FOREIGN_PATH = re.compile(r'(?<![\w.$}/])/(home|root|Users|work|workspace)/\w')
INCLUDE = re.compile(r'\s*#\s*include\s+"((?:(.+)/)?[^/]+)"')
# comments and the insides of strings say nothing about what is called
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

bad = []


def blank(match):
    return re.sub(r'[^\n]', ' ', match[0])


def check_arrows(path, lines):
    allowed = next((a for files, a in MAY_USE.items()
                    if fnmatch.fnmatch(str(path), files) and files.count('/') == len(path.parts) - 1), None)
    if allowed is None:
        bad.append(f'{path}:1: no row for it in MAY_USE of tests/tools/check_layers.py')
        return
    for n, line in enumerate(lines, 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        if not m[2]:
            bad.append(f'{path}:{n}: include with the folder: "{path.parent}/{m[1]}"')
        elif m[2] != str(path.parent) and not any(fnmatch.fnmatch(m[1], a) for a in allowed):
            bad.append(f'{path}:{n}: {path} may not use {m[1]} (see MAY_USE in tests/tools/check_layers.py)')


def check_lengths(path, lines):
    start = 0
    for n, line in enumerate(lines, 1):
        if line == '{':
            start = n
        elif line == '}' and start:
            if n - start > FUNCTION_LINES_MAX:
                bad.append(f'{path}:{start}: function of {n - start} lines (at most {FUNCTION_LINES_MAX})')
            start = 0
    if len(lines) > FILE_LINES_MAX and not str(path).startswith('tests/'):
        bad.append(f'{path}:1: {len(lines)} lines (at most {FILE_LINES_MAX}): one subject a file')


def check_calls(path, text):
    code = NOISE.sub(blank, text)
    program = not str(path).startswith('tests/')
    for n, line in enumerate(code.splitlines(), 1):
        for m in BANNED.finditer(line):
            bad.append(f'{path}:{n}: {m[1]}() is banned')
        if program:
            for m in BANNED_IN_PROGRAM.finditer(line):
                bad.append(f'{path}:{n}: {m[1]}() is banned')
            if EXIT.search(line) and not str(path).startswith(('router/cmd/', 'router/main.c')):
                bad.append(f'{path}:{n}: exit() only in main and cmd')


def check_text(path, text):
    for n, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            bad.append(f'{path}:{n}: unfinished: {line.strip()[:60]}')
        if FOREIGN_PATH.search(line):
            bad.append(f'{path}:{n}: an absolute path of some one machine: {line.strip()[:60]}')
        if line != line.rstrip() and path.suffix != '.md':
            bad.append(f'{path}:{n}: white space at the end')


def check_links(path, text):
    """Links of documents lead somewhere inside the repository."""
    top = pathlib.Path('.').resolve()
    for m in re.finditer(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text):
        if re.match(r'\w+:', m[1]):
            continue
        target = (path.parent / m[1]).resolve()
        if not target.exists() or not target.is_relative_to(top):
            n = text.count('\n', 0, m.start()) + 1
            bad.append(f'{path}:{n}: link to {m[1]}, which is not there')


def check_rows():
    for table in pathlib.Path('.').glob('router/*/registry.c'):
        rows = set(re.findall(r'^\s+X\((\w+)\)', table.read_text(), re.M))
        for f in sorted(table.parent.glob('*.c')):
            defines = re.search(rf'^const struct {table.parent.name}_ops {table.parent.name}_(\w+)\b', f.read_text(), re.M)
            if defines and defines[1] not in rows:
                bad.append(f'{table}:1: no row for {f}')
    for pattern, table in ROW_FILES.items():
        text = pathlib.Path(table).read_text()
        for f in sorted(pathlib.Path('.').glob(pattern)):
            name = f.stem.split('_', 1)[1]
            if f"'{name}'" not in text and f"'{f.stem}'" not in text:
                bad.append(f'{table}:1: no row for {f}')
    data = pathlib.Path('tests/data/README.md').read_text()
    for f in sorted(pathlib.Path('tests/data').iterdir()):
        if f.name != 'README.md' and f'`{f.name}`' not in data and f'`{f.name}/`' not in data:
            bad.append(f'tests/data/README.md:1: no row for {f.name}')
    for folder in TOP_FOLDERS:
        if not pathlib.Path(folder, 'README.md').exists():
            bad.append(f'{folder}/README.md:1: missing')


def main():
    texts = ('.c', '.h', '.inc', '.py', '.md', '.yaml', '.build', '.sh')
    files = [p for p in sorted(pathlib.Path('.').rglob('*'))
             if p.is_file() and p.suffix in texts and not p.parts[0].startswith(('.', 'build'))
             and not str(p).startswith(('tests/data/', 'tests/fuzz/corpus/'))]
    for path in files + [pathlib.Path('dev')]:
        text = path.read_text(errors='replace')
        if path != pathlib.Path('tests/tools/check_layers.py'):
            check_text(path, text)
        if path.suffix in ('.c', '.h', '.inc'):
            if not str(path).startswith('tests/'):
                check_arrows(path, text.splitlines())
            check_lengths(path, text.splitlines())
            check_calls(path, text)
        if path.suffix == '.md':
            check_links(path, text)
    check_rows()
    print('\n'.join(bad) or 'layers: ok')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
