"""A peer for the fan-out benchmark: python-socketio's AsyncServer as an ASGI application under uvicorn.

POST /api/alerts/patient tells the room of the patient. It stores nothing and asks nobody who they are.
"""

import datetime
import json
import os

import socketio
import uvicorn

PATH = "/api/alerts/patient"

sio = socketio.AsyncServer(async_mode="asgi")


@sio.on("join_room")
async def join_room(sid, data):
    await sio.enter_room(sid, data["room"])
    await sio.emit("room_joined", {"room": data["room"], "status": "joined"}, to=sid)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def answer(send, status, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def rest(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    body = b""
    is_complete = False
    while not is_complete:
        message = await receive()
        body += message.get("body", b"")
        is_complete = not message.get("more_body", False)
    if scope["method"] != "POST" or scope["path"] != PATH:
        await answer(send, 404, b'{"error":"not found"}')
        return
    alert = json.loads(body)
    payload = {
        "alert_type": alert["alert_type"],
        "patient_id": alert["patient_id"],
        "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **alert["alert_data"],
    }
    await sio.emit("patient_alert", payload, room=f"patient_{alert['patient_id']}")
    await answer(send, 201, b'{"success":true}')


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(sio, rest),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="error",
        access_log=False,
        loop="uvloop",
        http="httptools",
        backlog=4096,
    )
