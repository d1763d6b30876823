#!/usr/bin/env python3
"""
./dev demo: a real audit log to files, Kafka and HTTP at once, and a look at what arrived.

What comes back is compared with what `classify` says: every event of every class, byte for byte, at every place.
"""
import argparse
import collections
import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / 'build' / 'audit-router'
LOG = TOP / 'tests' / 'data' / 'audit.log.gz'
CLASSES = ('ADMIN_ACTIVITY', 'ADMIN_READ', 'DATA_READ', 'DATA_WRITE')
PATIENCE = 120

CONFIG = """\
cluster: demo
state_dir: state
redact: off

inputs:
  recorded:
    type: file
    path: {log}
  pipe:                  # held open by the demo until it has read all back from the embedded Kafka, which ends with the router
    type: stdin

outputs:
  files:
    type: file
    path: files/{{class}}.ndjson
  kafka:
    type: kafka
    brokers: {brokers}
    topic: {topic}.{{class}}
    key: auditID
    properties: {{ message.max.bytes: 10000000 }}    # the largest events of this log have 2 MB
  collector:
    type: http
    url: {url}/{{class}}
    format: ndjson
"""


def say(text):
    print(f'==> {text}', flush=True)


def fail(text):
    print(f'demo: {text}', file=sys.stderr)
    sys.exit(1)


def start_collector(folder):
    collector = subprocess.Popen(['/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable,
                                  TOP / 'tests' / 'integration' / 'collector.py', '--port', '0', '--dir', folder],
                                 stdout=subprocess.PIPE, text=True)
    url = collector.stdout.readline().strip()
    if not url.startswith('http'):
        fail('the collector does not start')
    return collector, url.rstrip('/')


def classify():
    """The lines of the log by class, in order, as `classify` puts them."""
    say(f'{LOG.relative_to(TOP)}: what a real kube-apiserver wrote, in classes')
    print(subprocess.run([PROGRAM, 'classify', '--summary', LOG], capture_output=True, text=True, check=True).stdout)
    verdicts = subprocess.run([PROGRAM, 'classify', LOG], capture_output=True, check=True).stdout.splitlines()
    lines = gzip.decompress(LOG.read_bytes()).splitlines(keepends=True)
    if len(verdicts) != len(lines):
        fail(f'classify knows {len(verdicts)} of {len(lines)} events')
    expected = collections.defaultdict(list)
    for verdict, line in zip(verdicts, lines):
        expected[json.loads(verdict)['class']].append(line)
    return expected


def embedded_brokers(log_path, router):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and router.poll() is None:
        found = re.search(r'embedded Kafka at ([\w.:]+)', log_path.read_text(errors='replace'))
        if found:
            return found[1]
        time.sleep(0.05)
    fail(f'the router did not start:\n{log_path.read_text(errors="replace")}')


def read_kafka(brokers, topic, expected, router):
    """All that is in the topic, as soon as there is as much as expected."""
    deadline = time.monotonic() + PATIENCE
    got = []
    while time.monotonic() < deadline:
        kcat = subprocess.run(['kcat', '-C', '-b', brokers, '-t', topic, '-o', 'beginning', '-e', '-q', '-f', '%s\n',
                               '-X', 'receive.message.max.bytes=200000000', '-X', 'message.max.bytes=100000000'],
                              capture_output=True, timeout=PATIENCE, check=False)
        got = kcat.stdout.splitlines(keepends=True)
        if kcat.returncode == 0 and len(got) >= expected:
            return got
        if router.poll() is not None:
            break
        time.sleep(0.2)
    return got


def read_files(folder, pattern):
    return [line for path in sorted(folder.glob(pattern)) for line in path.read_bytes().splitlines(keepends=True)]


def route(folder, options, expected, collector_url):
    """Runs the router; returns what came back from Kafka, by class."""
    topic = f'audit-demo-{os.getpid()}' if options.kafka else 'audit'
    folder.joinpath('audit-router.yaml').write_text(CONFIG.format(
        log=LOG, url=collector_url, topic=topic, brokers=f'[{options.kafka}]' if options.kafka else 'embedded'))
    log_path = folder / 'router.log'
    say(f'audit-router run --once -c {folder}/audit-router.yaml')
    with open(log_path, 'wb') as log:
        router = subprocess.Popen([PROGRAM, 'run', '--once', '-c', folder / 'audit-router.yaml'], stdin=subprocess.PIPE,
                                  stderr=log, cwd=folder)
    try:
        brokers = options.kafka or embedded_brokers(log_path, router)
        say(f'reading back from Kafka at {brokers}, topics {topic}.*')
        kafka = {c: read_kafka(brokers, f'{topic}.{c.lower()}', len(expected[c]), router) for c in CLASSES}
        router.stdin.close()
        status = router.wait(timeout=PATIENCE)
    finally:
        if router.poll() is None:
            router.send_signal(signal.SIGTERM)
    print(log_path.read_text(errors='replace'))
    if status:
        fail(f'the router ended with {status}')
    return kafka


def compare(expected, files, kafka, collected):
    """The table; whether all is equal."""
    print(f'{"class":16}{"classified":>12}{"in files":>12}{"in Kafka":>12}{"by HTTP":>12}   bytes')
    good = True
    for c in CLASSES:
        same = files[c] == expected[c] and sorted(kafka[c]) == sorted(expected[c]) == sorted(collected[c])
        good = good and same
        print(f'{c:16}{len(expected[c]):12}{len(files[c]):12}{len(kafka[c]):12}{len(collected[c]):12}   '
              f'{sum(map(len, expected[c])):11,}  {"equal" if same else "DIFFERENT"}')
    return good


def main():
    parser = argparse.ArgumentParser(prog='./dev demo', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kafka', metavar='HOST:PORT', help='a real broker instead of the one inside the process')
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='audit-router-demo.'))
    expected = classify()
    collector, url = start_collector(folder / 'collected')
    try:
        kafka = route(folder, options, expected, url)
    finally:
        collector.terminate()
        collector.wait()
    files = {c: read_files(folder / 'files', f'{c.lower()}.ndjson') for c in CLASSES}
    collected = {c: read_files(folder / 'collected', f'*{c.lower()}.ndjson') for c in CLASSES}
    good = compare(expected, files, kafka, collected)
    print()
    if not good:
        fail(f'what arrived is not what was sent; see {folder}')
    say('every event is in its class at every place, byte for byte')
    say(f'configuration, files and what the collector got: {folder}')


if __name__ == '__main__':
    main()
