"""What functions tell of their work, so that an operator sees it from outside: log lines, spans, metrics.

    steps      one delivered event or HTTP request, and what came of it; everything below is made of these
    logs       one JSON object a line, where ``POLYGLOT_LOG_FORMAT=json``
    redaction  what must not be told
    exports    a thread that hands steps over, where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says whom to
    otlp       spans and metrics by OTLP; the only module that imports OpenTelemetry, and only that thread imports it

Which trace a step belongs to, with and without an exporter, is ``functions._backends.tracecontext``.
"""
