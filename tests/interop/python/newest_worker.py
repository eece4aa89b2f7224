"""A worker with the newest python-socketio: emits each line of standard input, a JSON object {event, payload, room}."""

import json
import os
import sys

import socketio

manager = socketio.RedisManager(os.environ["REDIS_URL"], write_only=True)

for line in sys.stdin:
    said = json.loads(line)
    manager.emit(said["event"], said["payload"], room=said["room"])
    print("emitted", flush=True)
