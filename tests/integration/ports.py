"""
Ports on loopback that stay free until they are used.

A port that the kernel gave out (bind to 0) and that was closed again may go to somebody's outgoing connection meanwhile; a client
that tries a closed port again and again may even connect to itself there. So these lie below the range that the kernel gives out
by itself, and each is held against other test runs by a name in the abstract socket namespace, until this process ends.
"""
import random
import socket

HELD = []       # names; closed by the end of the process
RANGE = '/proc/sys/net/ipv4/ip_local_port_range'
FIRST = 10000


def _hold(port):
    """Nobody else of us has it, and nobody listens there."""
    name, probe = socket.socket(socket.AF_UNIX), socket.socket()
    try:
        name.bind(f'\0audit-router-test-port-{port}')
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(('127.0.0.1', port))
    except OSError:
        name.close()
        return False
    finally:
        probe.close()
    HELD.append(name)
    return True


def free_port():
    with open(RANGE, encoding='ascii') as f:
        low, high = map(int, f.read().split())
    ports = range(FIRST, low) if low - FIRST > 1000 else range(high + 1, 65536)
    for _ in range(10000):
        port = random.choice(ports)
        if _hold(port):
            return port
    raise RuntimeError(f'no free port in {ports}')
