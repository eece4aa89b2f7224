//! The metrics, each named once. One registry per server: two servers in one process do not mix.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// `{transport="polling"}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabel {
    /// `polling` or `websocket`.
    pub transport: &'static str,
}

/// `{event="patient_alert"}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabel {
    /// The event's name on the wire.
    pub event: String,
}

/// `{result="recovered"}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// What became of it.
    pub result: &'static str,
}

/// `{bridge="python",result="emitted"}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BridgeLabels {
    /// `python` or `node`.
    pub bridge: &'static str,
    /// What became of it.
    pub result: &'static str,
}

/// `{method="POST",route="/api/alerts/patient",status="201"}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The HTTP method.
    pub method: String,
    /// The route's pattern, never the path: paths carry patient ids.
    pub route: String,
    /// The status code.
    pub status: u16,
}

/// Every metric of a node, and the registry that writes them down. Clones share the same numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    /// Engine.IO connections now, by transport.
    pub connections: Family<TransportLabel, Gauge>,
    /// Rooms with at least one member on this node.
    pub rooms: Gauge,
    /// Events published, by name.
    pub events: Family<EventLabel, Counter>,
    /// Event copies handed to sockets.
    pub deliveries: Counter,
    /// Alerts over the limit: stored, not published.
    pub suppressed: Counter,
    /// Sockets closed because they could not keep up.
    pub overflowed: Counter,
    /// Client events refused because the socket sent too many.
    pub client_events_limited: Counter,
    /// Client messages that were longer than they may be. Over a websocket that ends the connection, over polling the request.
    pub too_large: Counter,
    /// Sockets that were in a named room and not told, because they are of another contract than what was said.
    pub withheld: Counter,
    /// Recoveries, by result: `recovered`, `refused`, `gap`.
    pub recoveries: Family<ResultLabel, Counter>,
    /// Events sent again to clients that came back.
    pub replayed: Counter,
    /// How long a commit of the store took, in seconds.
    pub store_commit: Histogram,
    /// How many appends shared a commit.
    pub store_batch: Histogram,
    /// From the call of emit to its answer, in seconds.
    pub emit: Histogram,
    /// HTTP requests, by method, route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// Whether the store can be written to: 1 or 0.
    pub store_up: Gauge<i64>,
    /// Appends on this node's own disk that wait for the store.
    pub spooled: Gauge,
    /// Whether events that are stored wait for being published.
    pub unpublished: Gauge,
    /// Whether Redis answers: 1 or 0.
    pub bus_up: Gauge<i64>,
    /// Events that this node had from the store, because the stream did not bring them in time.
    pub bus_filled: Counter,
    /// Entries that were not written to the stream: Redis was away or behind. Other nodes have them from the store.
    pub bus_unsent: Counter,
    /// Entries of the stream that are not ours.
    pub bus_foreign: Counter,
    /// Whether what workers publish is heard: 1 or 0.
    pub bridge_up: Gauge<i64>,
    /// Messages that workers published and this node heard, by what became of them.
    pub bridge_messages: Family<BridgeLabels, Counter>,
    /// Messages that were raised for everybody in their rooms although they named somebody to be left out.
    pub bridge_exclusions: Counter,
    /// Subscriptions that were lost; what was published meanwhile was heard by other nodes or by nobody.
    pub bridge_cuts: Counter,
    /// Client events of contract B that were dropped: too many, malformed, or of what they may not touch.
    pub ehr_dropped: Counter,
    /// Events of contract B that could not be told at once and wait for being told again.
    pub ehr_waiting: Gauge,
    uptime: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// A fresh set, all at zero.
    #[expect(clippy::too_many_lines, reason = "a list: one line or two for each metric")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("wardbell");
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let mut metrics = Self {
            registry: std::sync::Arc::new(Registry::default()),
            connections: Family::default(),
            rooms: Gauge::default(),
            events: Family::default(),
            deliveries: Counter::default(),
            suppressed: Counter::default(),
            overflowed: Counter::default(),
            client_events_limited: Counter::default(),
            too_large: Counter::default(),
            withheld: Counter::default(),
            recoveries: Family::default(),
            replayed: Counter::default(),
            store_commit: seconds(),
            store_batch: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            emit: seconds(),
            requests: Family::default(),
            store_up: Gauge::default(),
            spooled: Gauge::default(),
            unpublished: Gauge::default(),
            bus_up: Gauge::default(),
            bus_filled: Counter::default(),
            bus_unsent: Counter::default(),
            bus_foreign: Counter::default(),
            bridge_up: Gauge::default(),
            bridge_messages: Family::default(),
            bridge_exclusions: Counter::default(),
            bridge_cuts: Counter::default(),
            ehr_dropped: Counter::default(),
            ehr_waiting: Gauge::default(),
            uptime: Gauge::default(),
        };
        let m = &metrics;
        registry.register(
            "connections",
            "Engine.IO connections now, by transport",
            m.connections.clone(),
        );
        registry.register("rooms", "Rooms with at least one member on this node", m.rooms.clone());
        registry.register("events", "Events published, by name", m.events.clone());
        registry.register("deliveries", "Event copies handed to sockets", m.deliveries.clone());
        registry.register(
            "alerts_suppressed",
            "Alerts over the limit: stored, not published",
            m.suppressed.clone(),
        );
        registry.register(
            "sockets_overflowed",
            "Sockets closed because they could not keep up",
            m.overflowed.clone(),
        );
        registry.register(
            "client_events_limited",
            "Client events refused because the socket sent too many",
            m.client_events_limited.clone(),
        );
        registry.register(
            "client_messages_too_large",
            "Client messages that were longer than they may be, of either contract",
            m.too_large.clone(),
        );
        registry.register(
            "sockets_withheld",
            "Sockets that were named and not told something of the other contract",
            m.withheld.clone(),
        );
        registry.register(
            "recoveries",
            "Connection state recoveries, by result",
            m.recoveries.clone(),
        );
        registry.register(
            "events_replayed",
            "Events sent again to clients that came back",
            m.replayed.clone(),
        );
        registry.register_with_unit(
            "store_commit",
            "How long a commit of the store took",
            Unit::Seconds,
            m.store_commit.clone(),
        );
        registry.register("store_batch", "How many appends shared a commit", m.store_batch.clone());
        registry.register_with_unit(
            "emit",
            "From the call of emit to its answer",
            Unit::Seconds,
            m.emit.clone(),
        );
        registry.register(
            "http_requests",
            "HTTP requests, by method, route and status",
            m.requests.clone(),
        );
        registry.register("store_up", "Whether the store can be written to", m.store_up.clone());
        registry.register(
            "spooled",
            "Appends on this node's own disk that wait for the store",
            m.spooled.clone(),
        );
        registry.register(
            "unpublished",
            "Events that are stored and not yet published",
            m.unpublished.clone(),
        );
        registry.register("bus_up", "Whether Redis answers", m.bus_up.clone());
        registry.register(
            "bus_filled",
            "Events that came from the store instead of the stream",
            m.bus_filled.clone(),
        );
        registry.register(
            "bus_unsent",
            "Entries that were not written to the stream",
            m.bus_unsent.clone(),
        );
        registry.register(
            "bus_foreign",
            "Entries of the stream that are not ours",
            m.bus_foreign.clone(),
        );
        registry.register(
            "bridge_up",
            "Whether what workers publish is heard",
            m.bridge_up.clone(),
        );
        registry.register(
            "bridge_messages",
            "What workers published and this node heard, by what became of it",
            m.bridge_messages.clone(),
        );
        registry.register(
            "bridge_exclusions",
            "Messages that were raised for all of their rooms although they named somebody to be left out",
            m.bridge_exclusions.clone(),
        );
        registry.register("bridge_cuts", "Subscriptions that were lost", m.bridge_cuts.clone());
        registry.register(
            "ehr_client_events_dropped",
            "Client events of contract B that were dropped",
            m.ehr_dropped.clone(),
        );
        registry.register(
            "ehr_events_waiting",
            "Events of contract B that wait for being told again",
            m.ehr_waiting.clone(),
        );
        registry.register_with_unit("uptime", "How long this node has run", Unit::Seconds, m.uptime.clone());
        metrics.registry = std::sync::Arc::new(registry);
        metrics
    }

    /// The exposition text, OpenMetrics 1.0 (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    ///
    /// # Errors
    /// If a label cannot be written.
    pub fn encode(&self, uptime: std::time::Duration) -> Result<String, std::fmt::Error> {
        self.uptime.set(uptime.as_secs_f64());
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
