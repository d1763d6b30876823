"""
What comes again after kill -9: what no outcome was known of, and no more (router/lane/progress.h). And where the progress cannot
be believed, nothing is lost.
"""
import collections
import json
import os
import random
import re
import shutil
import signal
import time

import pytest

from collector import Collector
from harness import PATIENCE_S, wait_for
from test_chaos import VERBS, event, file_lines, ids, lines_so_far, wanted

SEED = int(os.environ.get('CHAOS_SEED') or random.SystemRandom().randrange(1 << 30))
KILLS = int(os.environ.get('PROGRESS_KILLS', '6'))
BATCH, IN_FLIGHT = 50, 2
EVENTS = KILLS * 2000
CONFIG = f'''
state_dir: state
shutdown_wait: 60s
redact: off
inputs:
  log: {{{{type: file, path: audit.log}}}}
outputs:
  archive: {{{{type: file, path: "out/{{{{class}}}}.log"}}}}
  siem: {{{{type: http, url: "{{url}}", batch_events: {BATCH}, in_flight: {IN_FLIGHT}, batch_wait: 50ms, timeout: 120s, retry_min: 20ms,
         retry_max: 100ms, spool_after: {{after}}}}}}
'''


def extra(lines):
    counts = collections.Counter(ids(lines))
    return sum(counts.values()) - len(counts)


def all_posted(collector, class_):
    paths = [path for path in collector.paths() if path.endswith(f'/{class_.lower()}')]
    return ids(line for path in paths for line in collector.lines(path))


def check_complete(router, collector, count):
    for *_, class_ in VERBS:
        assert set(ids(file_lines(router.folder / 'out', class_))) == wanted(count, class_)
        assert set(all_posted(collector, class_)) == wanted(count, class_)


def run_to_end(router, collector, count):
    process = router.start('run', '-c', 'audit-router.yaml')
    wait_for(lambda: all(wanted(count, c) <= set(ids(lines_so_far(router.folder / 'out', c))) and
                         wanted(count, c) <= set(all_posted(collector, c)) for *_, c in VERBS),
             'every event at every output')
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def write_config(router, collector, run, after):
    """Each run posts to URLs of its own: so one sees which kill made an event come again."""
    router.write('audit-router.yaml', CONFIG.format(url=collector.url(f'/siem/{run}/{{class}}'), after=after))


def posted(collector, run, class_):
    return collections.Counter(ids(collector.lines(f'/siem/{run}/{class_.lower()}')))


def delivered(router):
    return sum((router.folder / 'out' / f'{c.lower()}.log').stat().st_size for *_, c in VERBS
               if (router.folder / 'out' / f'{c.lower()}.log').exists())


def run_and_kill(router, randomness):
    """Kills it somewhere after it has begun to deliver."""
    process = router.start('run', '-c', 'audit-router.yaml')
    seen = delivered(router)
    wait_for(lambda: delivered(router) > seen or process.poll() is not None, 'something to be delivered')
    assert process.poll() is None, (router.folder / 'stderr').read_text()
    time.sleep(randomness.uniform(0.0, 0.15))   # the point of the kill, not a wait for something
    process.kill()
    process.wait()


# The spool is used all the time by the second: what it is ahead of the collector must not come again from the log. But for what was
# being written into it when the kill came: that is in the log and in the spool, so one run sends it twice.
@pytest.mark.parametrize('after', ['30s', '10ms'])
def test_what_comes_again_is_what_was_open(router, after):
    print(f'CHAOS_SEED={SEED}')
    randomness = random.Random(SEED)
    with Collector() as collector:
        router.write('audit.log', '')
        log = open(router.folder / 'audit.log', 'ab', buffering=0)
        written, per_kill = 0, EVENTS // KILLS
        for run in range(KILLS):
            write_config(router, collector, run, after)
            collector.delay(0.02, seconds=0.5)
            log.write(b''.join(event(n).encode() + b'\n' for n in range(written, written + per_kill)))
            written += per_kill
            run_and_kill(router, randomness)
        write_config(router, collector, KILLS, after)
        run_to_end(router, collector, written)
        check_complete(router, collector, written)
        for *_, class_ in VERBS:
            archive = extra(file_lines(router.folder / 'out', class_))
            assert archive <= KILLS * 4096   # one writev: one chunk's events of one class at most
            runs = [posted(collector, run, class_) for run in range(KILLS + 1)]
            twice = sum(sum(run.values()) - len(run) for run in runs)
            again = [sum(1 for event in runs[kill] if any(event in later for later in runs[kill + 1:])) for kill in range(KILLS)]
            print(f'{class_}: of {written // 4} events came again after each kill: {again} at the collector, {twice} of them in one '
                  f'run, out of log and spool; {archive} in the file')
            assert max(again) <= IN_FLIGHT * BATCH   # batches without an answer
            assert twice <= (per_kill // 4 if after == '10ms' else 0)   # a batch that was being put into the spool


def flip(path):
    bytes_ = bytearray(path.read_bytes())
    for at in (9, 20, 70, 4100, 4130, 4200, 5000):
        bytes_[at] ^= 0x55
    path.write_bytes(bytes_)


def edit_boot(path):
    """As after a power cut: what the progress says may not be there. Its checksum is right."""
    bytes_ = bytearray(path.read_bytes())
    bytes_[16] = ord('0') if bytes_[16] != ord('0') else ord('1')
    size = int.from_bytes(bytes_[76:80], 'little')
    bytes_[84:88] = crc32c(bytes_[:84] + bytes_[88:88 + size]).to_bytes(4, 'little')
    path.write_bytes(bytes_)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


HARM = {
    'another boot': lambda state, old: edit_boot(state / 'progress'),
    'damaged': lambda state, old: flip(state / 'progress'),
    'cut short': lambda state, old: os.truncate(state / 'progress', 5000),
    'empty': lambda state, old: os.truncate(state / 'progress', 0),
    'deleted': lambda state, old: (state / 'progress').unlink(),
    'of an older run': lambda state, old: shutil.copy(old / 'progress', state / 'progress'),
    'checkpoint of an older run': lambda state, old: shutil.copy(old / 'checkpoint.json', state / 'checkpoint.json'),
    'checkpoint deleted': lambda state, old: (state / 'checkpoint.json').unlink(),
    'killed at once again': None,
}


@pytest.mark.parametrize('harm', HARM)
def test_progress_that_is_not_to_be_believed_loses_nothing(router, harm):
    randomness = random.Random(SEED)
    state, old = router.folder / 'state', router.folder / 'old'
    with Collector() as collector:
        router.write('audit-router.yaml', CONFIG.format(url=collector.url('/siem/{class}'), after='100ms'))
        router.write('audit.log', ''.join(event(n) + '\n' for n in range(2000)))
        run_and_kill(router, randomness)
        shutil.copytree(state, old)
        with open(router.folder / 'audit.log', 'ab') as log:
            log.write(b''.join(event(n).encode() + b'\n' for n in range(2000, 4000)))
        run_and_kill(router, randomness)
        if HARM[harm]:
            HARM[harm](state, old)
        else:
            for _ in range(5):
                process = router.start('run', '-c', 'audit-router.yaml')
                time.sleep(randomness.uniform(0, 0.03))   # the point of the kill
                process.kill()
                process.wait()
        run_to_end(router, collector, 4000)
        check_complete(router, collector, 4000)


def test_rotation_around_a_kill_loses_nothing_and_doubles_little(router):
    """Files that begin after the last checkpoint are known to the next start by the marks; also when they are renamed meanwhile."""
    randomness = random.Random(SEED)
    with Collector() as collector:
        router.write('audit-router.yaml', CONFIG.format(url=collector.url('/siem/{class}'), after='30s'))
        path, written = router.folder / 'audit.log', 0
        for turn in range(KILLS):
            for part in range(6):
                with open(path, 'ab') as log:
                    log.write(b''.join(event(n).encode() + b'\n' for n in range(written, written + 200)))
                written += 200
                if part < 5:
                    path.rename(router.folder / f'audit-2026-11-22T00-{turn:02}-{part:02}.000.log')
            run_and_kill(router, randomness)
        run_to_end(router, collector, written)
        check_complete(router, collector, written)
        for *_, class_ in VERBS:
            assert extra(file_lines(router.folder / 'out', class_)) <= KILLS * 50   # a file's events of one class
            assert extra(collector.lines(f'/siem/{class_.lower()}')) <= KILLS * IN_FLIGHT * BATCH


def test_what_ends_well_leaves_no_progress(router):
    router.write('in.log', event(1) + '\n')
    config = 'state_dir: state\nredact: off\ninputs: {i: {type: file, path: in.log}}\noutputs: {o: {type: "null"}}\n'
    assert router.once(config).returncode == 0
    assert not (router.folder / 'state' / 'progress').exists()
    known = json.loads((router.folder / 'state' / 'checkpoint.json').read_text())
    assert known['run'] > 0 and re.search(r'"offset":\d+', known['inputs']['i']['state'])
