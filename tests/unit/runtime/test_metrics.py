"""The text that Prometheus reads."""

from gateway.runtime.metrics import Metrics, add_process


def test_numbers_are_read_when_asked_for() -> None:
    metrics, readings = Metrics(), [1]
    metrics.counter("gateway_readings_total", "Readings taken.", lambda: readings[0])
    readings[0] = 2
    assert metrics.exposition() == (
        "# HELP gateway_readings_total Readings taken.\n"
        "# TYPE gateway_readings_total counter\n"
        "gateway_readings_total 2\n"
    )


def test_documentation_reads_nothing() -> None:
    metrics = Metrics()
    metrics.gauge("gateway_devices", "Devices.", lambda: 1 // 0)
    assert metrics.documentation() == (("gateway_devices", "gauge", "Devices."),)


def test_labels_are_quoted() -> None:
    metrics = Metrics()
    metrics.gauge("up", "Is it.", lambda: [({"link": 'a"\\\n'}, 1), ({"link": "b", "k": "v"}, 0.5)])
    assert metrics.exposition().splitlines()[2:] == [
        'up{link="a\\"\\\\\\n"} 1',
        'up{link="b",k="v"} 0.5',
    ]


def test_the_process_tells_what_it_uses() -> None:
    metrics = Metrics()
    add_process(metrics)
    rows = dict(line.rsplit(" ", 1) for line in metrics.exposition().splitlines() if line[0] != "#")
    assert tuple(rows) == metrics.names()
    assert float(rows["process_resident_memory_bytes"]) > 1_000_000
    assert float(rows["process_cpu_seconds_total"]) > 0
    assert int(rows["process_open_fds"]) >= 3
