//! Several real nodes on one real Redis and one real PostgreSQL.

use std::net::SocketAddr;
use std::sync::Arc;

use nix::sys::signal::Signal;
use wardbell::clock::{Clock, SystemClock};

use crate::support::people::SECRET;
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::redis::Redis;
use crate::support::{Person, Rest, ServerProcess, Visitor};

/// The nodes, and what they share.
pub(crate) struct Cluster {
    pub(crate) redis: Arc<Redis>,
    pub(crate) database: Arc<Postgres>,
    /// Their database.
    pub(crate) url: String,
    nodes: Vec<Node>,
}

enum Node {
    Up(ServerProcess),
    Down(Setup),
    /// While it goes from one to the other.
    Between,
}

impl Cluster {
    /// So many nodes in token mode, each ready.
    pub(crate) async fn of(count: usize) -> Self {
        Self::with(vec![Setup::new(); count]).await
    }

    /// A node for each of these setups, which are completed here; each ready.
    pub(crate) async fn with(setups: Vec<Setup>) -> Self {
        Self::on(Arc::new(Redis::durable()), setups).await
    }

    /// The same on this Redis. A setup that names a `REDIS_URL` keeps it.
    pub(crate) async fn on(redis: Arc<Redis>, setups: Vec<Setup>) -> Self {
        let database = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
        let url = database.database();
        let mut launched = Vec::new();
        for setup in setups {
            let setup = setup
                .in_a_folder_of_its_own()
                .default("REDIS_URL", &redis.url())
                .set("DATABASE_URL", &url)
                .set("AUTH_MODE", "token")
                .set("JWT_SECRET_KEY", SECRET);
            let spool = setup.folder().join("spool.db").display().to_string();
            launched.push(setup.set("WARDBELL__STORE__SPOOL", &spool).launch());
        }
        let mut nodes = Vec::new();
        for mut node in launched {
            node.until_ready().await;
            nodes.push(Node::Up(node));
        }
        Self {
            redis,
            database: Arc::new(database),
            url,
            nodes,
        }
    }

    /// A node that runs.
    pub(crate) fn node(&self, index: usize) -> &ServerProcess {
        match &self.nodes[index] {
            Node::Up(node) => node,
            Node::Down(_) | Node::Between => panic!("node {index} does not run"),
        }
    }

    /// Where the nodes listen that run.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        let up = self.nodes.iter().filter_map(|node| match node {
            Node::Up(node) => Some(node.addr()),
            Node::Down(_) | Node::Between => None,
        });
        up.collect()
    }

    /// The same, beginning with this one.
    pub(crate) fn addrs_from(&self, index: usize) -> Vec<SocketAddr> {
        let mut addrs = self.addrs();
        let count = addrs.len();
        addrs.rotate_left(index % count);
        addrs
    }

    /// A REST client of this person's at a node.
    pub(crate) fn rest(&self, index: usize, person: &Person) -> Rest {
        self.node(index).rest().token(&person.token(SystemClock.now()))
    }

    /// This person at the door of a node.
    pub(crate) fn visitor(&self, index: usize, person: &Person) -> Visitor {
        let auth = serde_json::json!({"token": person.token(SystemClock.now())});
        self.node(index).visitor().auth(auth)
    }

    /// Kills a node at once, as a power cut would.
    pub(crate) fn kill(&mut self, index: usize) {
        let node = std::mem::replace(&mut self.nodes[index], Node::Between);
        self.nodes[index] = match node {
            Node::Up(node) => Node::Down(node.kill()),
            down @ (Node::Down(_) | Node::Between) => down,
        };
    }

    /// Has a node end by itself, as an orchestrator does.
    pub(crate) async fn stop(&mut self, index: usize) {
        let Node::Up(node) = &mut self.nodes[index] else {
            panic!("node {index} does not run");
        };
        node.signal(Signal::SIGTERM);
        let status = node.ended().await;
        assert!(status.success(), "node {index} ended with {status}:\n{}", node.log());
        self.kill(index);
    }

    /// Starts a node again, on the same port, with the same spool.
    pub(crate) async fn start(&mut self, index: usize) {
        let node = std::mem::replace(&mut self.nodes[index], Node::Between);
        self.nodes[index] = match node {
            Node::Down(setup) => Node::Up(setup.start().await),
            up @ (Node::Up(_) | Node::Between) => up,
        };
    }
}
