"""A file that can only be written, as a connection is: what a library writes to is taken from it as it comes."""


class Sink:
    """Holds what was written since the last `take`."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def flush(self) -> None:
        """There is nothing to push on."""

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
