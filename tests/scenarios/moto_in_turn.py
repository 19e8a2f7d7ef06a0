"""The emulator of AWS, one request at a time.

DynamoDB's operations are atomic. moto reads an item, judges the condition and writes the item in a
thread for each request and without a lock: of two increments at once, one may be lost.
"""

from threading import Lock

from moto import server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

turn = Lock()
serve = DomainDispatcherApplication.__call__


def serve_in_turn(self, environ, start_response):
    with turn:
        return serve(self, environ, start_response)


DomainDispatcherApplication.__call__ = serve_in_turn
server.main()
