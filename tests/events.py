"""Reading TensorBoard's event files, for tests."""

import pathlib
import struct

from tensorboardX.proto.event_pb2 import Event


def read_events(path: pathlib.Path) -> list[tuple[str, int, float]]:
    """Returns (tag, step, value) of all event files of a folder, as often as they occur."""
    found = []
    for file in sorted(path.glob("events.*")):
        data, position = file.read_bytes(), 0
        while position < len(data):
            # TFRecord: length, its checksum, the record, its checksum.
            (length,) = struct.unpack_from("<Q", data, position)
            event = Event.FromString(data[position + 12 : position + 12 + length])
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            position += 12 + length + 4
    return found
