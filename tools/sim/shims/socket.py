"""socket: real ones, on loopback. Names and addresses are asked of the world, port by port."""

import _world
import usocket

AF_INET = usocket.AF_INET
AF_INET6 = usocket.AF_INET6
SOCK_STREAM = usocket.SOCK_STREAM
SOCK_DGRAM = usocket.SOCK_DGRAM
SOCK_RAW = usocket.SOCK_RAW
SOL_SOCKET = usocket.SOL_SOCKET
SO_REUSEADDR = usocket.SO_REUSEADDR
SO_BROADCAST = usocket.SO_BROADCAST
IPPROTO_TCP = 6
IPPROTO_UDP = 17
IPPROTO_IP = 0
TCP_NODELAY = 1


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    _world.forbid("socket.getaddrinfo")
    if isinstance(host, (bytes, bytearray)):
        host = host.decode()
    address, local_port = _world.call("net.lookup", host, int(port))
    found = usocket.getaddrinfo(address, local_port, AF_INET, type or SOCK_STREAM)
    return [(AF_INET, type or SOCK_STREAM, proto, host, found[0][-1])]


def socket(af=AF_INET, type=SOCK_STREAM, proto=0):
    _world.forbid("socket.socket")
    return usocket.socket(af, type)


__getattr__ = _world.lacks("socket")
