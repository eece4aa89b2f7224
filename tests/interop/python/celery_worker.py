"""A Celery worker as the existing backends run it, and whoever gives it work.

    celery --app celery_worker worker    the worker: a process of its own, which knows the server only by its Redis
    celery_worker.py                     queues a task for each line of standard input, a JSON object {event, payload, room}

Nothing here knows wardbell: this is the code that emitted through a Flask-SocketIO server before.
"""

import json
import os
import sys

from celery import Celery
from flask_socketio import SocketIO

REDIS_URL = os.environ["REDIS_URL"]

app = Celery("celery_worker", broker=REDIS_URL)
# Work that was taken is done in order, and nothing is announced to other workers.
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)

socketio = SocketIO(message_queue=REDIS_URL)


@app.task(name="tell")
def tell(event, payload, room):
    socketio.emit(event, payload, room=room)


if __name__ == "__main__":
    for line in sys.stdin:
        task = json.loads(line)
        tell.delay(task["event"], task["payload"], task["room"])
        print("queued", flush=True)
