//! What nodes tell each other beside the bus: what is true or worth something only now.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

/// The other nodes.
///
/// Each node has a share: texts by key, which the others know as long as the node lives. Beside it, a node says things that
/// nobody keeps. There is no order with events, and nothing waits: where the others cannot be reached, what is said is lost,
/// and the share is told whole when they can be reached again.
pub trait Peers: Send + Sync {
    /// Puts a text into this node's share; `None` takes it out.
    fn put(&self, key: &str, value: Option<String>);

    /// Says something to every other node, now or never.
    fn say(&self, text: String);

    /// What the others tell. Called once.
    fn subscribe(&self) -> mpsc::Receiver<Heard>;
}

/// What was heard of another node. Nodes are named by themselves, anew at every start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This is its share, whatever was known of it before.
    Share {
        /// Whose.
        node: String,
        /// All of it.
        entries: BTreeMap<String, String>,
    },
    /// A text of its share changed, or is gone.
    Changed {
        /// Whose.
        node: String,
        /// Which.
        key: String,
        /// What it is now.
        value: Option<String>,
    },
    /// It has ended, or nothing was heard of it for too long: it has no share.
    Gone {
        /// Which node.
        node: String,
    },
    /// Somebody said this.
    Said(String),
}
