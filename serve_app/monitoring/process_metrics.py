"""What Prometheus' own client tells of a process without Ray."""

from serve_app.metrics import Kind, Metric

MEMORY = Metric(Kind.GAUGE, "process_resident_memory_bytes", "Resident memory")
CPU = Metric(Kind.COUNTER, "process_cpu_seconds", "CPU time of the process")

ALL = (MEMORY, CPU)
