"""A program that sends numbered events with somebody else's client, and goes on where it was after a restart.

``python -m peers.http.sending CLIENT PORT SECRET FOLDER NUMBER``. In the folder stands how far the client has
confirmed: what comes after it is sent again.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

CHUNK = 500
PLACE = "place"
Send = Callable[[range], None]


def elasticsearch(port: int, secret: str) -> Send:
    """The official client's bulk helper; each document has an id."""
    from elastic_transport import TransportError
    from elasticsearch import ApiError, Elasticsearch
    from elasticsearch.helpers import streaming_bulk

    client = Elasticsearch(
        f"http://127.0.0.1:{port}", basic_auth=("istmo", secret), max_retries=3, retry_on_timeout=True
    )

    def send(numbers: range) -> None:
        actions = [
            {"_op_type": "create", "_index": "logs", "_id": str(one), "_source": {"number": one}}
            for one in numbers
        ]
        while True:
            try:
                told = streaming_bulk(client, actions, raise_on_error=False, max_retries=5)
                statuses = {next(iter(answer.values()))["status"] for _, answer in told}
            except (ApiError, TransportError):
                time.sleep(0.1)  # the pace of a sender that tries again
                continue
            assert statuses <= {201, 409}, statuses
            return

    return send


def opentelemetry(port: int, secret: str) -> Send:
    """OpenTelemetry's SDK: its batches, its exporter, its way of trying again."""
    from opentelemetry._logs import LogRecord
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    exporter = OTLPLogExporter(
        f"http://127.0.0.1:{port}/v1/logs",
        headers={"Authorization": f"Bearer {secret}"},
        compression=Compression.Gzip,
        timeout=120,
    )
    provider = LoggerProvider(Resource.create({"host.name": "web1", "service.name": "peers"}))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter, max_queue_size=4 * CHUNK, max_export_batch_size=CHUNK)
    )
    logger = provider.get_logger("peers")

    def send(numbers: range) -> None:
        for one in numbers:
            now = time.time_ns()
            logger.emit(LogRecord(timestamp=now, observed_timestamp=now, body={"number": one}))
        assert provider.force_flush()

    return send


def splunk(port: int, secret: str) -> Send:
    """A logging handler for the HTTP Event Collector: objects one after another, with nothing between."""
    from splunk_handler import SplunkHandler

    handler = SplunkHandler(
        "127.0.0.1", port, secret, "main", hostname="web1", protocol="http", verify=False,
        queue_size=0, flush_interval=0.2, retry_count=12, retry_backoff=0.2,
    )  # fmt: skip
    return _through(handler, handler.force_flush)


def gelf(port: int, secret: str) -> Send:
    """A logging handler for GELF. It reads no answer, and so cannot know whether an event was taken."""
    from pygelf import GelfHttpHandler

    handler = GelfHttpHandler("127.0.0.1", port)
    handler.headers["Authorization"] = f"Bearer {secret}"
    return _through(handler, lambda: None)


def _through(handler: logging.Handler, flush: Callable[[], object]) -> Send:
    logger = logging.Logger("peers")
    logger.addHandler(handler)

    def send(numbers: range) -> None:
        for one in numbers:
            logger.info('{"number":%d}', one)
        flush()

    return send


CLIENTS = {one.__name__: one for one in (elasticsearch, opentelemetry, splunk, gelf)}


def chunks(begin: int, end: int) -> Iterable[range]:
    """The numbers that are sent together."""
    for first in range(begin, end, CHUNK):
        yield range(first, min(end, first + CHUNK))


def main(client: str, port: str, secret: str, folder: str, number: str) -> None:
    """Send what is not confirmed yet."""
    place = Path(folder, PLACE)
    send = CLIENTS[client](int(port), secret)
    for numbers in chunks(int(place.read_text()) if place.exists() else 0, int(number)):
        send(numbers)
        fresh = place.with_suffix(".new")
        fresh.write_text(str(numbers.stop))
        fresh.replace(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
    logging.shutdown()
