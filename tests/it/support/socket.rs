//! A Socket.IO client of our own: every packet is seen, and it can be told to misbehave.
//!
//! It refuses to be clever: no reconnection, no buffering of what is sent. It answers pings, unless it is told to stand still.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{DEADLINE, in_time};

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP long-polling and nothing else.
    Polling,
    /// Polling first, then a websocket, as browsers do.
    Upgrade,
    /// A websocket from the start.
    Websocket,
}

impl Transport {
    /// All three.
    pub(crate) const ALL: [Self; 3] = [Self::Polling, Self::Upgrade, Self::Websocket];
}

/// Somebody at the door: what a client says when it connects.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    addr: SocketAddr,
    transport: Transport,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    auth: Option<Value>,
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    /// An event with its arguments.
    Event(String, Vec<Value>),
    /// The answer to the event that was sent with this number.
    Ack(u64, Vec<Value>),
    /// It has joined the namespace.
    Connected,
    /// The server disconnected this socket from the namespace.
    Disconnected,
    /// The connection has ended.
    Closed(String),
}

/// A connected client.
pub(crate) struct Client {
    /// Its id at the server.
    pub(crate) sid: String,
    /// Its private id for recovery, where the server gave one.
    pub(crate) pid: Option<String>,
    /// The first message of the connection: ping interval, limits.
    pub(crate) open: Value,
    /// The payload of `connection_response`; `null` where it was not greeted.
    pub(crate) greeting: Value,
    packets: mpsc::UnboundedReceiver<Raw>,
    /// Received, and not asked for yet.
    waiting: VecDeque<Packet>,
    outbox: mpsc::UnboundedSender<String>,
    is_still: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    acks: u64,
}

/// A connection was refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// By the HTTP answer: status and body.
    Http(u16, String),
    /// By Socket.IO's `CONNECT_ERROR`, with its payload.
    Connect(Value),
    /// Otherwise.
    Other(String),
}

enum Raw {
    Text(String),
    Closed(String),
}

impl Visitor {
    /// Somebody at the server's door, with a websocket.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            transport: Transport::Websocket,
            query: Vec::new(),
            headers: Vec::new(),
            auth: None,
        }
    }

    /// Over this transport.
    pub(crate) fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// With this in the handshake's query.
    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push((key.to_owned(), value.to_owned()));
        self
    }

    /// With this header on every request.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With these fields in Socket.IO's `auth`, beside those that were given before.
    pub(crate) fn auth(mut self, fields: Value) -> Self {
        let mut auth = self.auth.take().unwrap_or_else(|| json!({}));
        for (key, value) in fields.as_object().unwrap() {
            auth[key] = value.clone();
        }
        self.auth = Some(auth);
        self
    }

    /// Asks for recovery, as a client says that understands it.
    pub(crate) fn asking_for_recovery(self) -> Self {
        self.auth(json!({"recovery": true}))
    }

    /// Comes back with what it had before.
    pub(crate) fn returning(self, pid: &str, offset: Option<&str>) -> Self {
        self.auth(match offset {
            Some(offset) => json!({"pid": pid, "offset": offset}),
            None => json!({"pid": pid}),
        })
    }

    /// Connects and takes the greeting.
    pub(crate) async fn connect(self) -> Client {
        let what = format!("connect {:?}", self.transport);
        self.attempt()
            .await
            .unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"))
    }

    /// Connects, where being refused is an outcome too.
    pub(crate) async fn attempt(self) -> Result<Client, Refusal> {
        in_time("connecting", async {
            let mut client = self.open().await?;
            client.greeting = client.take_greeting().await;
            Ok(client)
        })
        .await
    }

    /// The same for a client that is not greeted: one of the EHR's.
    pub(crate) async fn attempt_without_greeting(self) -> Result<Client, Refusal> {
        in_time("connecting", self.open()).await
    }

    async fn open(self) -> Result<Client, Refusal> {
        let (raw, packets) = mpsc::unbounded_channel();
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let (is_still, stillness) = watch::channel(false);
        let mut line = Line {
            packets,
            outbox,
            waiting: VecDeque::new(),
        };
        let connect = format!("40{}", self.auth.as_ref().map(Value::to_string).unwrap_or_default());

        let (open, tasks) = match self.transport {
            Transport::Websocket => {
                let websocket = self.websocket(None).await?;
                let tasks = run_websocket(websocket, outgoing, raw, stillness);
                let open = line.next_text().await?;
                line.send(connect);
                (open.strip_prefix('0').unwrap_or_default().to_owned(), tasks)
            }
            Transport::Polling => {
                let (open, url, http) = self.poll_first().await?;
                let tasks = run_polling(http, url, outgoing, raw, stillness);
                line.send(connect);
                (open, tasks)
            }
            Transport::Upgrade => {
                let (open, url, http) = self.poll_first().await?;
                self.upgrade(open, url, http, &connect, raw, outgoing, stillness)
                    .await?
            }
        };
        let open: Value = serde_json::from_str(&open).map_err(|error| Refusal::Other(error.to_string()))?;

        let connected = line.next_text().await?;
        if let Some(error) = connected.strip_prefix("44") {
            return Err(Refusal::Connect(serde_json::from_str(error).unwrap()));
        }
        let Some(connected) = connected.strip_prefix("40") else {
            return Err(Refusal::Other(format!("instead of CONNECT: {connected}")));
        };
        let connected: Value = serde_json::from_str(connected).unwrap();
        Ok(Client {
            sid: connected["sid"].as_str().unwrap().to_owned(),
            pid: connected["pid"].as_str().map(str::to_owned),
            open,
            greeting: Value::Null,
            packets: line.packets,
            waiting: line.waiting,
            outbox: line.outbox,
            is_still,
            tasks,
            acks: 0,
        })
    }

    fn url(&self, scheme: &str, transport: &str, sid: Option<&str>) -> String {
        let mut url = format!("{scheme}://{}/socket.io/?EIO=4&transport={transport}", self.addr);
        for (key, value) in &self.query {
            url = format!("{url}&{key}={value}");
        }
        if let Some(sid) = sid {
            url = format!("{url}&sid={sid}");
        }
        url
    }

    async fn websocket(&self, sid: Option<&str>) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Refusal> {
        let mut request = self.url("ws", "websocket", sid).into_client_request().unwrap();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .append(name, HeaderValue::from_str(value).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((websocket, _)) => Ok(websocket),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err(Refusal::Http(
                    response.status().as_u16(),
                    String::from_utf8_lossy(&body).into_owned(),
                ))
            }
            Err(error) => Err(Refusal::Other(error.to_string())),
        }
    }

    /// Begins a polling session: the open message, the session's address and the client to go on with.
    async fn poll_first(&self) -> Result<(String, String, reqwest::Client), Refusal> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
        let http = reqwest::Client::builder()
            .no_proxy()
            .default_headers(headers.collect())
            .build()
            .unwrap();
        let response = http
            .get(self.url("http", "polling", None))
            .send()
            .await
            .map_err(Refusal::other)?;
        let status = response.status();
        let body = response.text().await.map_err(Refusal::other)?;
        let Some(open) = body.strip_prefix('0').filter(|_| status.is_success()) else {
            return Err(Refusal::Http(status.as_u16(), body));
        };
        let said: Value = serde_json::from_str(open).unwrap();
        let url = self.url("http", "polling", said["sid"].as_str());
        Ok((open.to_owned(), url, http))
    }

    /// What a browser does: CONNECT over polling, then probe a websocket and change over to it.
    #[expect(clippy::too_many_arguments, reason = "the ends of the line are handed on")]
    async fn upgrade(
        &self,
        open: String,
        url: String,
        http: reqwest::Client,
        connect: &str,
        raw: mpsc::UnboundedSender<Raw>,
        outgoing: mpsc::UnboundedReceiver<String>,
        stillness: watch::Receiver<bool>,
    ) -> Result<(String, Vec<JoinHandle<()>>), Refusal> {
        let said: Value = serde_json::from_str(&open).unwrap();
        http.post(&url)
            .body(connect.to_owned())
            .send()
            .await
            .map_err(Refusal::other)?;
        let mut websocket = self.websocket(said["sid"].as_str()).await?;
        websocket.send(Message::text("2probe")).await.map_err(Refusal::other)?;
        // The server ends the open poll with a noop once it has seen the probe.
        let polling = async {
            loop {
                let body = http
                    .get(&url)
                    .send()
                    .await
                    .map_err(Refusal::other)?
                    .text()
                    .await
                    .map_err(Refusal::other)?;
                for packet in body.split('\x1e') {
                    match packet {
                        "6" => return Ok(()),
                        "2" => drop(http.post(&url).body("3").send().await),
                        other => drop(raw.send(Raw::Text(other.to_owned()))),
                    }
                }
            }
        };
        let probing = async {
            loop {
                match websocket.next().await {
                    Some(Ok(Message::Text(text))) if text.as_str() == "3probe" => return Ok(()),
                    Some(Ok(_)) => {}
                    other => return Err(Refusal::Other(format!("while probing: {other:?}"))),
                }
            }
        };
        let (polled, probed) = tokio::join!(polling, probing);
        polled.and(probed)?;
        websocket.send(Message::text("5")).await.map_err(Refusal::other)?;
        Ok((open, run_websocket(websocket, outgoing, raw, stillness)))
    }
}

impl Refusal {
    fn other(error: impl std::error::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl Client {
    /// Sends an event without asking for an answer.
    pub(crate) fn emit(&self, event: &str, payload: Value) {
        self.send_raw(format!("42{}", json!([event, payload])));
    }

    /// Sends an event and waits for the server's acknowledgement. Events that come before it stay for [`expect`](Self::expect).
    pub(crate) async fn call(&mut self, event: &str, payload: Value) -> Value {
        self.acks += 1;
        let wanted = self.acks;
        self.send_raw(format!("42{wanted}{}", json!([event, payload])));
        let mut passed = VecDeque::new();
        let mut answer = loop {
            match self.next(&format!("the acknowledgement of {event}")).await {
                Packet::Ack(number, arguments) if number == wanted => break arguments,
                packet @ (Packet::Event(..) | Packet::Ack(..)) => passed.push_back(packet),
                packet @ (Packet::Connected | Packet::Disconnected | Packet::Closed(_)) => {
                    panic!("instead of {event}'s acknowledgement: {packet:?}")
                }
            }
        };
        passed.append(&mut self.waiting);
        self.waiting = passed;
        assert_eq!(answer.len(), 1, "{answer:?}");
        answer.remove(0)
    }

    /// Sends an Engine.IO message as it is.
    pub(crate) fn send_raw(&self, text: String) {
        // A connection that has ended shows in what is received.
        drop(self.outbox.send(text));
    }

    /// Joins a room, which must be allowed.
    pub(crate) async fn join(&mut self, room: &str) {
        self.emit("join_room", json!({"room": room}));
        let joined = self.expect("room_joined").await;
        assert_eq!(joined["room"], room, "{joined}");
    }

    /// Leaves a room.
    pub(crate) async fn leave(&mut self, room: &str) {
        self.emit("leave_room", json!({"room": room}));
        let left = self.expect("room_left").await;
        assert_eq!(left["room"], room, "{left}");
    }

    /// The next event, which must be this one; its payload.
    pub(crate) async fn expect(&mut self, event: &str) -> Value {
        self.expect_arguments(event).await.remove(0)
    }

    /// The next event, which must be this one; all its arguments (the second is the offset of recovery).
    pub(crate) async fn expect_arguments(&mut self, event: &str) -> Vec<Value> {
        match self.next(event).await {
            Packet::Event(name, arguments) if name == event && !arguments.is_empty() => arguments,
            other => panic!("instead of {event}: {other:?}"),
        }
    }

    /// The next packet, whatever it is.
    pub(crate) async fn next(&mut self, what: &str) -> Packet {
        if let Some(packet) = self.waiting.pop_front() {
            return packet;
        }
        match in_time(what, self.packets.recv()).await {
            Some(Raw::Text(text)) => read(&text),
            Some(Raw::Closed(why)) => Packet::Closed(why),
            None => Packet::Closed("nothing more".to_owned()),
        }
    }

    /// Waits until the connection has ended; everything that came before.
    pub(crate) async fn until_closed(&mut self) -> Vec<Packet> {
        let mut seen = Vec::new();
        loop {
            match self.next("the connection's end").await {
                Packet::Closed(_) => return seen,
                packet => seen.push(packet),
            }
        }
    }

    /// Reads nothing more until [`go_on`](Self::go_on): bytes stay in the kernel, pings stay unanswered.
    pub(crate) fn hold_still(&self) {
        self.is_still.send_replace(true);
    }

    /// Reads again.
    pub(crate) fn go_on(&self) {
        self.is_still.send_replace(false);
    }

    /// Leaves as a stock client does, and waits until the server has seen it.
    pub(crate) async fn leave_politely(mut self) {
        self.send_raw("41".to_owned());
        self.send_raw("1".to_owned());
        self.until_closed().await;
    }

    /// Is gone without a goodbye.
    pub(crate) fn vanish(self) {
        drop(self);
    }

    async fn take_greeting(&mut self) -> Value {
        // Recovered events may stand before it.
        let mut passed = VecDeque::new();
        loop {
            match self.next("connection_response").await {
                Packet::Event(name, mut arguments) if name == "connection_response" => {
                    passed.append(&mut self.waiting);
                    self.waiting = passed;
                    return arguments.remove(0);
                }
                packet @ (Packet::Event(..) | Packet::Ack(..)) => passed.push_back(packet),
                packet @ (Packet::Connected | Packet::Disconnected | Packet::Closed(_)) => {
                    panic!("instead of connection_response: {packet:?}")
                }
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The line before anybody has answered at its other end.
struct Line {
    packets: mpsc::UnboundedReceiver<Raw>,
    outbox: mpsc::UnboundedSender<String>,
    waiting: VecDeque<Packet>,
}

impl Line {
    fn send(&self, text: String) {
        drop(self.outbox.send(text));
    }

    /// The next message that is neither an event nor an acknowledgement: a returning client may get those before CONNECT.
    async fn next_text(&mut self) -> Result<String, Refusal> {
        loop {
            match self.packets.recv().await {
                Some(Raw::Text(text)) if text.starts_with("42") || text.starts_with("43") => {
                    self.waiting.push_back(read(&text));
                }
                Some(Raw::Text(text)) => return Ok(text),
                Some(Raw::Closed(why)) => return Err(Refusal::Other(why)),
                None => return Err(Refusal::Other("nothing more".to_owned())),
            }
        }
    }
}

fn read(text: &str) -> Packet {
    let (kind, rest) = text.split_at_checked(2).unwrap_or((text, ""));
    if kind == "40" {
        return Packet::Connected; // alone among them, it carries an object
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, body) = rest.split_at(digits);
    let mut arguments: Vec<Value> = if body.is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    match kind {
        "42" => {
            let name = arguments.remove(0);
            Packet::Event(name.as_str().unwrap().to_owned(), arguments)
        }
        "43" => Packet::Ack(number.parse().unwrap(), arguments),
        "41" => Packet::Disconnected,
        _ => panic!("not a packet that a server sends: {text}"),
    }
}

/// Two tasks around a websocket: one reads and answers pings, one writes.
fn run_websocket(
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    mut outgoing: mpsc::UnboundedReceiver<String>,
    raw: mpsc::UnboundedSender<Raw>,
    mut stillness: watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let (mut writer, mut reader) = websocket.split();
    let (pong, mut pongs) = mpsc::unbounded_channel::<()>();
    let reading = tokio::spawn(async move {
        loop {
            if stillness.wait_for(|is_still| !is_still).await.is_err() {
                return;
            }
            let message = tokio::select! {
                message = reader.next() => message,
                _ = stillness.changed() => continue,
            };
            let closed = match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    pong.send(()).err().map(|_| "writer gone".to_owned())
                }
                Some(Ok(Message::Text(text))) if text.as_str() == "6" => None,
                Some(Ok(Message::Text(text))) if text.as_str() == "1" => Some("closed by the server".to_owned()),
                Some(Ok(Message::Text(text))) => raw.send(Raw::Text(text.to_string())).err().map(|_| String::new()),
                Some(Ok(Message::Close(frame))) => Some(format!("close frame: {frame:?}")),
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(error.to_string()),
                None => Some("end of stream".to_owned()),
            };
            if let Some(why) = closed {
                drop(raw.send(Raw::Closed(why)));
                return;
            }
        }
    });
    let writing = tokio::spawn(async move {
        loop {
            let text = tokio::select! {
                text = outgoing.recv() => match text {
                    Some(text) => text,
                    None => return,
                },
                _ = pongs.recv() => "3".to_owned(),
            };
            // Engine.IO's close packet is for polling; a websocket is closed.
            let sent = if text == "1" {
                writer.close().await
            } else {
                writer.send(Message::text(text)).await
            };
            if sent.is_err() {
                return;
            }
        }
    });
    vec![reading, writing]
}

/// Two tasks around a polling session: one polls and answers pings, one posts.
fn run_polling(
    http: reqwest::Client,
    url: String,
    mut outgoing: mpsc::UnboundedReceiver<String>,
    raw: mpsc::UnboundedSender<Raw>,
    mut stillness: watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let (pong, mut pongs) = mpsc::unbounded_channel::<()>();
    let polling = {
        let (http, url) = (http.clone(), url.clone());
        tokio::spawn(async move {
            loop {
                if stillness.wait_for(|is_still| !is_still).await.is_err() {
                    return;
                }
                let closed = match http.get(&url).timeout(Duration::from_mins(2)).send().await {
                    Ok(response) if response.status().is_success() => match response.text().await {
                        Ok(body) => body.split('\x1e').find_map(|packet| match packet {
                            "2" => pong.send(()).err().map(|_| "writer gone".to_owned()),
                            "6" => None,
                            "1" => Some("closed by the server".to_owned()),
                            other => raw.send(Raw::Text(other.to_owned())).err().map(|_| String::new()),
                        }),
                        Err(error) => Some(error.to_string()),
                    },
                    Ok(response) => Some(format!("status {}", response.status())),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(why) = closed {
                    drop(raw.send(Raw::Closed(why)));
                    return;
                }
            }
        })
    };
    let posting = tokio::spawn(async move {
        loop {
            let text = tokio::select! {
                text = outgoing.recv() => match text {
                    Some(text) => text,
                    None => return,
                },
                _ = pongs.recv() => "3".to_owned(),
            };
            let posted = http.post(&url).body(text).timeout(DEADLINE).send().await;
            if !posted.is_ok_and(|response| response.status().is_success()) {
                return;
            }
        }
    });
    vec![polling, posting]
}
