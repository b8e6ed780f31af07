"""A proxy before a server, which is late, cuts connections or leads elsewhere when told to."""

import socket
import threading
import time
from contextlib import suppress


class Between:
    """A proxy before a server: holds back what goes in, or cuts the connection once a command has gone in."""

    def __init__(self, port: int) -> None:
        self.to = port
        """Where new connections go."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.late_s = 0.0
        self.cut_after = b""
        """Cut the connection when this has gone in, and the server had the time to do it."""
        self.cut_within = -1
        """Cut a connection when so many bytes more came out of the server; below 0: do not."""
        self.slice_bytes = 1 << 16
        """What comes out goes on in such pieces."""
        self.cuts = 0
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self.late_s = 0.0
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        for each in self._sockets:
            each.close()

    def cut_all(self) -> None:
        """End every connection; new ones go where `to` says."""
        for each in self._sockets[1:]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inside, _ = self._listener.accept()
                try:
                    outside = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    inside.close()
                    continue
                self._sockets += [inside, outside]
                cut = threading.Event()
                for way in ((inside, outside, cut, True), (outside, inside, cut, False)):
                    self._threads.append(threading.Thread(target=self._carry, args=way, daemon=True))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket, cut: threading.Event, inward: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if inward and self.late_s:
                    time.sleep(self.late_s)
                if inward and self.cut_after and self.cut_after in data:
                    self.cut_after = b""
                    self.cuts += 1
                    cut.set()
                if not inward and self.cut_within >= 0:
                    data, self.cut_within = data[: self.cut_within], self.cut_within - len(data)
                    if self.cut_within < 0:
                        self.cuts += 1
                        cut.set()
                        target.sendall(data)
                if inward or not cut.is_set():
                    for start in range(0, len(data), self.slice_bytes):
                        target.sendall(data[start : start + self.slice_bytes])
                if not inward and cut.is_set():
                    break
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
