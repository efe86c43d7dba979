"""The server of the upstream `spare` that is dead until a test starts it."""

import http.server


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"app": "first"}')


http.server.HTTPServer(("127.0.0.4", 7000), Handler).serve_forever()
