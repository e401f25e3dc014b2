"""Counts what goes over a connection, by standing in its middle."""

import select
import socket
import threading


class Relay:
    """Listens on `port` and passes bytes on to a server. Slower than a direct connection: for
    counting, never for measuring time."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.packets = 0  # sent by the client: every $ in its stream begins one
        self.received = 0  # bytes from the server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self.listener.close()

    def _run(self):
        try:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.server_port))
            with client, server:
                for one in client, server:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while True:
                    for source in select.select([client, server], [], [])[0]:
                        data = source.recv(1 << 18)
                        if not data:
                            return
                        if source is client:
                            self.packets += data.count(b"$")
                            server.sendall(data)
                        else:
                            self.received += len(data)
                            client.sendall(data)
        except OSError:
            pass  # either side is gone, and so is the measurement
