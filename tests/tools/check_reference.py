#!/usr/bin/env python3
"""
The documents that the program prints are fresh, and the examples are good: check_reference.py PROGRAM

Where python3-jsonschema is installed the examples are also held against the schema, and so is a file of mistakes.
"""
import json
import os
import pathlib
import subprocess
import sys

bad = []
ENVIRONMENT = {'CLUSTER_NAME': 'test', 'KAFKA_BROKERS': 'localhost:9092'}
MISTAKES = [
    {},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {}},
    {'inputs': {'a': {'type': 'stdni'}}, 'outputs': {'b': {'type': 'null'}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'null', 'qeue': '1MiB'}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'null', 'queue': 1}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'null', 'classes': ['DATA_REED']}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'http'}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'http', 'url': 'x', 'format': 'xml'}}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'null'}}, 'data_access': {'ADMIN_ACTIVITY': 'off'}},
    {'inputs': {'a': {'type': 'stdin'}}, 'outputs': {'b': {'type': 'null'}}, 'redact': ['secretz']},
]


def run(*arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, env=os.environ | ENVIRONMENT)


def check_fresh(path, *arguments):
    printed = run('reference', *arguments)
    if printed.returncode or printed.stderr:
        bad.append(f'{path}:1: reference failed: {printed.stderr}')
    elif printed.stdout != path.read_text():
        bad.append(f'{path}:1: not fresh: build/audit-router {" ".join(("reference",) + arguments)} > {path}')


def check_examples():
    for path in sorted(pathlib.Path('config/examples').glob('*.yaml')):
        checked = run('check', '-c', str(path))
        if checked.returncode:
            bad.append(checked.stderr)


def check_schema():
    try:
        import jsonschema
        import yaml
    except ImportError:
        return
    schema = json.loads(pathlib.Path('config/schema.json').read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    for path in sorted(pathlib.Path('config/examples').glob('*.yaml')):
        for error in validator.iter_errors(yaml.safe_load(path.read_text())):
            bad.append(f'{path}:1: against schema.json: {error.json_path}: {error.message}')
    for mistake in MISTAKES:
        if validator.is_valid(mistake):
            bad.append(f'config/schema.json:1: takes {mistake}')


program = os.path.abspath(sys.argv[1])
check_fresh(pathlib.Path('config/REFERENCE.md'))
check_fresh(pathlib.Path('config/schema.json'), '--schema')
check_examples()
check_schema()
print('\n'.join(bad) or 'reference: fresh, and the examples are good')
sys.exit(bool(bad))
