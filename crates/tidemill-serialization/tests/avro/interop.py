"""Checks Avro data against fastavro, an implementation of its own.

    pip install fastavro cramjam backports.zstd
    python interop.py make     writes the files in fastavro/, which the tests read
    python interop.py check    reads the files in ours/, which the tests write, and prints what is in them: expected.txt

Run by hand when the format or the files are changed; the results are checked in.
"""

import datetime
import decimal
import io
import json
import pathlib
import sys
import uuid

import fastavro

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc

TRIP = json.loads((HERE / "everything.avsc").read_text())


def values():
    """The records that both sides write."""
    for i in range(3):
        yield {
            "nothing": None,
            "flag": i % 2 == 0,
            "small": [0, -(2**31), 2**31 - 1][i],
            "large": [0, -(2**63), 2**63 - 1][i],
            "single": [0.0, -1.5, 3.25][i],
            "double": [0.0, -1e300, 2.5e-300][i],
            "blob": bytes(range(i * 5)),
            "text": ["", "naïve café", "🚕 taxi"][i],
            "list": list(range(i * 70)),
            "map": {f"key {k}": k for k in range(i)},
            "optional": [None, "there", None][i],
            "choice": [7, "seven", {"name": "nested", "inner": None}][i],
            "symbol": ["CASH", "CARD", "OTHER"][i],
            "fixed": bytes([i] * 4),
            "nested": {"name": f"outer {i}", "inner": {"name": "inner", "inner": None} if i else None},
            "price": decimal.Decimal(["0.00", "-12345.67", "99999999.99"][i]),
            "price_fixed": decimal.Decimal(["0.0000", "-1.5000", "123456.7890"][i]),
            "id": uuid.UUID(int=i * 0x1234567890ABCDEF1234567890ABCDEF % 2**128),
            "day": datetime.date(1970, 1, 1) + datetime.timedelta(days=[0, -1, 20000][i]),
            "time_ms": datetime.time(i, 2, 3, 4000),
            "time_us": datetime.time(i, 2, 3, 4005),
            "at_ms": datetime.datetime(2013 + i, 1, 2, 3, 4, 5, 678000, UTC),
            "at_us": datetime.datetime(2013 + i, 1, 2, 3, 4, 5, 678901, UTC),
            "local_ms": datetime.datetime(2013 + i, 1, 2, 3, 4, 5, 678000),
            "local_us": datetime.datetime(2013 + i, 1, 2, 3, 4, 5, 678901),
            "at_ns": 1_700_000_000_123_456_789 + i,
            "span": (i).to_bytes(4, "little") + (i * 2).to_bytes(4, "little") + (i * 3).to_bytes(4, "little"),
        }


def make():
    out = HERE / "fastavro"
    out.mkdir(exist_ok=True)
    schema = fastavro.parse_schema(TRIP)
    for codec in ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]:
        with open(out / f"{codec}.avro", "wb") as file:
            fastavro.writer(file, schema, values(), codec=codec, sync_interval=1, sync_marker=b"0123456789abcdef")
    # Single records, one a line in hexadecimal.
    with open(out / "records.hex", "w") as file:
        for value in values():
            buffer = io.BytesIO()
            fastavro.schemaless_writer(buffer, schema, value)
            file.write(buffer.getvalue().hex() + "\n")
    # Read with another schema: what fastavro makes of it.
    evolved = fastavro.parse_schema(json.loads((HERE / "evolved.avsc").read_text()))
    with open(out / "null.avro", "rb") as file, open(out / "evolved.json", "w") as result:
        for value in fastavro.reader(file, evolved):
            result.write(json.dumps(value, ensure_ascii=False) + "\n")


def check():
    lines = []
    for path in sorted((HERE / "ours").glob("*.avro")):
        with open(path, "rb") as file:
            reader = fastavro.reader(file)
            read = list(reader)
            lines.append(f"{path.name}: codec {reader.codec}, {len(read)} records")
            expected = list(values())
            for one, other in zip(read, expected, strict=True):
                for name, value in other.items():
                    same = one[name] == value
                    lines.append(f"  {name}: {'equal' if same else f'{one[name]!r} is not {value!r}'}")
    print("\n".join(lines))


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]]()
