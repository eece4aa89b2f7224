"""A peer for the fan-out benchmark: Flask-SocketIO with threads, as the servers run that wardbell replaces.

POST /api/alerts/patient tells the room of the patient. It stores nothing and asks nobody who they are.
"""

import datetime
import logging
import os

from flask import Flask, jsonify, request
from flask_socketio import SocketIO, emit, join_room

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading", cors_allowed_origins="*")


@socketio.on("join_room")
def on_join_room(data):
    join_room(data["room"])
    emit("room_joined", {"room": data["room"], "status": "joined"})


@app.post("/api/alerts/patient")
def alert():
    body = request.get_json()
    payload = {
        "alert_type": body["alert_type"],
        "patient_id": body["patient_id"],
        "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **body["alert_data"],
    }
    socketio.emit("patient_alert", payload, room=f"patient_{body['patient_id']}")
    return jsonify(success=True), 201


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
