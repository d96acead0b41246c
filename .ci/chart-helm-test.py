"""What `helm test` asks, asked of made-up exporters: it passes where one answers, and fails where one does not.

Usage: chart-helm-test.py FILE.yaml, a rendered variant with the test. Runs the test's command as it stands, with fewer tries.
"""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

GOOD = b'# TYPE hugetlb_exporter_build_info gauge\nhugetlb_exporter_build_info{version="0"} 1\n'
# Which answers, the status of the health check, the metrics, whether the test must pass.
EXPORTERS = [
    ("a healthy exporter", 200, GOOD, True),
    ("one that is not healthy", 503, GOOD, False),
    ("one without metrics", 200, None, False),
    ("something else", 200, b"<html>not an exporter</html>\n", False),
]


def server(healthy, metrics):
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self):
            known = {"/-/healthy": (healthy, b"Healthy\n"), "/metrics": (200 if metrics else 404, metrics or b"")}
            status, body = known.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Exporter)


def passes(command, healthy, metrics):
    with server(healthy, metrics) as exporter:
        threading.Thread(target=exporter.serve_forever, daemon=True).start()
        script = command[-1].replace("hugetlb-exporter-test:10270", f"127.0.0.1:{exporter.server_port}")
        # Thirty tries would take a minute.
        script = script.replace("--retry 30 --retry-delay 2", "--retry 1")
        answer = subprocess.run(
            [*command[:-1], script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )
        exporter.shutdown()
    return answer.returncode == 0


def main():
    objects = yaml.safe_load_all(Path(sys.argv[1]).read_text())
    (pod,) = [found for found in objects if found and found["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    problems = [
        f"helm test {'fails' if wanted else 'passes'} with {name}"
        for name, healthy, metrics, wanted in EXPORTERS
        if passes(container["command"], healthy, metrics) != wanted
    ]
    print("\n".join(problems) or f"helm test knows an exporter from {len(EXPORTERS) - 1} others")
    sys.exit(bool(problems))


main()
