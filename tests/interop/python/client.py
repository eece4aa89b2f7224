"""A stock python-socketio client that says what happens to it and does as it is told.

    client.py TRANSPORT URL OPTIONS

The lines are those of ../js/client.mjs. Every handler takes exactly one argument, as those of the existing backends do: were the
server to send a second one, the handler would fail and the event be missing.
"""

import json
import sys
import threading
from urllib.parse import urlencode

import socketio

TRANSPORTS = {"polling": ["polling"], "upgrade": ["polling", "websocket"], "websocket": ["websocket"]}
EVENTS = [
    "connection_response",
    "room_joined",
    "room_left",
    "error",
    "patient_alert",
    "risk_updated",
    "hospital_alert",
    "triage_updated",
    "staff_availability_changed",
    "bed_status_changed",
    "token_expired",
    "recovery_gap",
]

transport, url, given = sys.argv[1:]
options = json.loads(given)
saying = threading.Lock()
last_event_id = None


def say(happened):
    with saying:
        print(json.dumps(happened), flush=True)


def auth():
    given_auth = dict(options.get("auth") or {})
    if options.get("remember") and last_event_id:
        given_auth["lastEventId"] = last_event_id
    return given_auth


client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.4, randomization_factor=0)


def listen(event):
    def handler(payload):
        global last_event_id
        if isinstance(payload, dict):
            last_event_id = payload.get("event_id", last_event_id)
        say({"on": event, "args": [payload]})

    client.on(event, handler)


for name in EVENTS:
    listen(name)


@client.event
def connect():
    say({"on": "connect", "sid": client.get_sid(), "recovered": None, "transport": client.transport()})


@client.event
def connect_error(data):
    say({"on": "connect_error", "message": str(data), "data": None})


@client.event
def disconnect(*reason):
    # Newer versions say why; a handler without the argument is called as before.
    say({"on": "disconnect", "reason": str(reason[0]) if reason else None})


query = urlencode(options.get("query") or {})
try:
    client.connect(f"{url}?{query}", transports=TRANSPORTS[transport], auth=auth, headers=options.get("headers") or {})
except socketio.exceptions.ConnectionError as error:
    say({"on": "connect_error", "message": str(error), "data": None})

for line in sys.stdin:
    told = json.loads(line)
    if told.get("close"):
        client.disconnect()
    elif "ack" in told:
        number = told["ack"]
        client.emit(*told["emit"], callback=lambda *args, number=number: say({"on": "ack", "ack": number, "args": list(args)}))
    else:
        client.emit(*told["emit"])
client.disconnect()
