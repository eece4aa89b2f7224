//! A peer for the fan-out benchmark: axum and socketioxide, nothing else.
//!
//! `POST /api/alerts/patient` tells the room of the patient. It stores nothing and asks nobody who they are.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::handler::ConnectHandler as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted: thousands come at once.
const BACKLOG: u32 = 4_096;

#[derive(Deserialize)]
struct Room {
    room: String,
}

#[derive(Deserialize)]
struct Alert {
    patient_id: String,
    alert_type: String,
    alert_data: Map<String, Value>,
}

#[derive(Serialize)]
struct Told<'a> {
    alert_type: &'a str,
    patient_id: &'a str,
    timestamp: String,
    #[serde(flatten)]
    alert_data: &'a Map<String, Value>,
}

async fn alert(State(io): State<SocketIo>, Json(alert): Json<Alert>) -> (StatusCode, Json<Value>) {
    let told = Told {
        alert_type: &alert.alert_type,
        patient_id: &alert.patient_id,
        timestamp: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        alert_data: &alert.alert_data,
    };
    let room = format!("patient_{}", alert.patient_id);
    // Members whose queue is full miss it: nothing here keeps it for them.
    let success = io.to(room).emit("patient_alert", &told).await.is_ok();
    (StatusCode::CREATED, Json(json!({"success": success})))
}

/// Before CONNECT is answered: a handler that is registered after it misses the events of clients that are quick.
async fn admit(socket: SocketRef) -> Result<(), Infallible> {
    socket.on("join_room", async |socket: SocketRef, Data::<Room>(Room { room })| {
        socket.join(room.clone());
        // The client is gone, and with it whoever waits for this.
        drop(socket.emit("room_joined", &json!({"room": room, "status": "joined"})));
    });
    Ok(())
}

async fn admitted(_: SocketRef) {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", admitted.with(admit));
    let app = Router::new().route("/api/alerts/patient", post(alert)).with_state(io).layer(layer);

    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    // Without it every write waits for the acknowledgement of the last one.
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
