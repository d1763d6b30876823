"""A real Apache Kafka broker (KRaft, one node) on free loopback ports, for tests and benches.

    with Broker(auto_create=False) as b:
        ... brokers: [b.bootstrap] ...
        b.kill(); b.start()                     # the same data, the same port
        b.consume("audit.admin_read")           # [Message(key, value, headers, partition, offset)]
As a program, for people and scripts:
    broker.py [--dir DIR] [--auto-create]       # prints its address, runs until SIGTERM or SIGINT

The jars come from Maven once (kafka/pom.xml, 45 MB) into ${XDG_CACHE_HOME:-~/.cache}/audit-router. Needs java, mvn, kcat.
"""
import argparse
import collections
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache')) / 'audit-router'
PATIENCE_S = 240    # on a machine that is busy with other things

DIES_WITH_US = ['setpriv', '--pdeathsig', 'KILL'] if shutil.which('setpriv') else []
Message = collections.namedtuple('Message', 'key value headers partition offset')

PROPERTIES = '''
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
log.dirs={folder}/data
num.partitions={partitions}
auto.create.topics.enable={auto_create}
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
min.insync.replicas=1
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=6000
'''

# Two more listeners: TLS with a client's certificate, and TLS with a user's name and password.
SECURE = '''
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={secure}/store.pem
ssl.truststore.type=PEM
ssl.truststore.location={secure}/ca.pem
listener.name.ssl.ssl.client.auth=required
'''


def missing():
    """What is needed and not here, or None."""
    names = [name for name in ('java', 'kcat') if not shutil.which(name)]
    if not names and not _jars_are_there(_jars_folder()) and not shutil.which('mvn'):
        names = ['mvn']
    return ' '.join(names) or None


def _jars_folder():
    return CACHE / ('kafka-' + hashlib.sha256((HERE / 'kafka' / 'pom.xml').read_bytes()).hexdigest()[:12])


def _jars_are_there(folder):
    return (folder / 'complete').exists()


def jars():
    """The folder of the jars; gets them the first time."""
    folder = _jars_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _jars_are_there(folder):
            subprocess.run(['mvn', '-q', '-B', '-f', HERE / 'kafka' / 'pom.xml', 'dependency:copy-dependencies',
                            f'-DoutputDirectory={folder}', '-DincludeScope=runtime'], check=True)
            (folder / 'complete').touch()
    return folder


PREFIX = 'audit-router-kafka-'
YOUNG_S = 60    # so old, and not held: its owner was killed


def _hold(folder, mode='w'):
    """An open file whose lock says that the folder is in use, or None where another has it."""
    lock = open(folder / 'lock', mode)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _own_folder():
    """A new temporary one; what killed runs left behind goes."""
    for old in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + '*'):
        try:
            if time.time() - old.stat().st_mtime > YOUNG_S and (lock := _hold(old, 'r+')):
                shutil.rmtree(old, ignore_errors=True)
                lock.close()
        except OSError:
            pass    # another one's, or just gone
    return pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))


class Broker:
    """
    secure: a folder with ca.pem, server.pem and server.key, for listeners at `tls`, which wants a certificate of that
    authority, and at `sasl`, which wants alice and her password over TLS.
    """

    def __init__(self, folder=None, auto_create=False, partitions=1, heap='512m', tier=1, properties='', secure=None,
                 password=''):
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder) if folder else _own_folder()
        self.lock = None if folder else _hold(self.folder)
        (self.folder / 'data').mkdir(parents=True, exist_ok=True)
        self.port, controller = free_port(), free_port()
        self.bootstrap = f'127.0.0.1:{self.port}'
        self.classpath = f'{jars()}/*'
        self.java = ['java', '-Xms128m', f'-Xmx{heap}', '-XX:+UseSerialGC', f'-XX:TieredStopAtLevel={tier}',
                     '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dlog4j2.level=WARN', '-cp', self.classpath]
        self.config = self.folder / 'server.properties'
        self.config.write_text(PROPERTIES.format(port=self.port, controller=controller, folder=self.folder,
                                                 partitions=partitions, auto_create=str(auto_create).lower())
                               + properties)
        if secure:
            self._secure(pathlib.Path(secure), controller, password)
        self.process, self.formatted = None, False

    def _secure(self, secure, controller, password):
        tls, sasl = free_port(), free_port()
        self.tls, self.sasl = f'127.0.0.1:{tls}', f'127.0.0.1:{sasl}'
        (secure / 'store.pem').write_bytes(b''.join((secure / name).read_bytes()
                                                    for name in ('server.key', 'server.pem', 'ca.pem')))
        with open(self.config, 'a') as config:
            config.write(SECURE.format(port=self.port, controller=controller, tls=tls, sasl=sasl, secure=secure,
                                       password=password))

    # ---- life ----

    def start(self):
        assert not self.process
        if not self.formatted:
            subprocess.run(self.java + ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', 'YXVkaXQtcm91dGVyLXRlcw',
                                        '-c', self.config], check=True, stdout=subprocess.DEVNULL)
            self.formatted = True
        with open(self.folder / 'server.log', 'ab') as log:
            self.process = subprocess.Popen(DIES_WITH_US + self.java + ['kafka.Kafka', self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError('the broker does not start:\n' + (self.folder / 'server.log').read_text()[-3000:])
            time.sleep(0.1)
        return self

    def _answers(self):
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', self.port)) != 0:
                return False
        done = subprocess.run(['kcat', '-b', self.bootstrap, '-L', '-m', '2'], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0 and b'broker 1 at' in done.stdout

    def _end(self, number):
        if self.process:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        self.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock:
            self.lock.close()
            self.lock = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    # ---- what is in it ----

    def _kcat(self, *arguments, patience=PATIENCE_S):
        """What it prints. A broker that has just come, or has no time, may refuse it at first."""
        end = time.monotonic() + patience
        while True:
            done = subprocess.run(['kcat', '-b', self.bootstrap, *arguments], capture_output=True, check=False, timeout=300)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() >= end:
                raise RuntimeError(f'kcat {" ".join(arguments)}: {done.stderr.decode()}')
            time.sleep(0.5)

    def topics(self):
        """{name: number of partitions}"""
        found = {}
        for line in self._kcat('-L', '-m', '10').decode().splitlines():
            words = line.split()
            if words[:1] == ['topic'] and words[2] == 'with':
                found[words[1].strip('"')] = int(words[3])
        return found

    def consume(self, topic, isolation='read_committed', patience=60):
        """All of it, partition by partition, byte for byte. A topic that is not there is an error."""
        data = self._kcat('-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-X', 'topic.metadata.refresh.interval.ms=1000',
                          '-X', f'isolation.level={isolation}', '-f', '%p %o %K %S %h\n%k%s', patience=patience)
        messages, at = [], 0
        while at < len(data):
            line = data.index(b'\n', at)
            partition, offset, key_len, value_len, headers = data[at:line].decode().split(' ', 4)
            key_end = line + 1 + max(int(key_len), 0)
            at = key_end + max(int(value_len), 0)
            messages.append(Message(data[line + 1:key_end] if int(key_len) >= 0 else None, data[key_end:at],
                                    dict(h.split('=', 1) for h in headers.split(',') if h), int(partition), int(offset)))
        return sorted(messages, key=lambda m: (m.partition, m.offset))

    def admin(self, what, topic, *more):
        """describe, create (KEY=VALUE, partitions=N), delete, deny (writing), allow, cut OFFSET (of partition 0): see kafka/Admin.java."""
        done = subprocess.run(['java', '-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp',
                               self.classpath, HERE / 'kafka' / 'Admin.java', self.bootstrap, what, topic, *more],
                              capture_output=True, check=False, timeout=PATIENCE_S)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        return dict(line.split('=', 1) for line in done.stdout.decode().splitlines() if '=' in line)


def main():
    parser = argparse.ArgumentParser(description='An Apache Kafka broker on a free loopback port, for tests and benches.')
    parser.add_argument('--dir', help='its folder, kept; a temporary one, removed at the end, where unsaid')
    parser.add_argument('--auto-create', action='store_true', help='topics come into being when they are used')
    options = parser.parse_args()
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    broker = Broker(options.dir, auto_create=options.auto_create, tier=4)
    try:
        with broker:
            print(broker.bootstrap, flush=True)
            broker.process.wait()
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
