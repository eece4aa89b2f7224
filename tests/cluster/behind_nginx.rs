//! Three nodes behind nginx, with the configuration that we ship: affinity without cookies, failover, the edge itself.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use wardbell::clock::{Clock, SystemClock};

use super::crowd::{Backends, Crowd, Told};
use super::nginx::Nginx;
use super::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::{doctor, service};

const NODES: [&str; 3] = ["a", "b", "c"];
const PATIENT: &str = "P-1";

async fn three_nodes() -> (Cluster, Nginx) {
    let setups = NODES.map(|name| {
        Setup::new()
            .set("WARDBELL__SERVER__NODE", name)
            .set("LOG_LEVEL", "warn")
    });
    let cluster = Cluster::with(setups.into()).await;
    let nginx = Nginx::before([0, 1, 2].map(|node| cluster.node(node).addr())).await;
    (cluster, nginx)
}

/// Three hundred clients, nginx and three nodes are thousands of open files; the limit is inherited.
fn allow_many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients and nginx: make cluster"]
async fn three_hundred_clients_of_one_address_hear_every_alert_once_although_a_node_is_killed() {
    allow_many_files();
    let (mut cluster, nginx) = three_nodes().await;
    let now = SystemClock.now();
    let room = format!("patient_{PATIENT}");
    let token = doctor().of("H1").token(now);
    let mut crowd = Crowd::gather(&nginx, &token, &room, &["4.7.2", "newest"], 50).await;
    let token = service().token(now);
    let mut backends = Backends::start(&nginx, &token, PATIENT, 4, Duration::from_millis(300));
    backends.until_accepted(60).await;
    let before = crowd.report().await;

    cluster.kill(1);
    backends.until_accepted(120).await;
    backends.finish_with("the last").await;
    crowd.until_heard(&backends.accepted).await;
    let told = crowd.report().await;

    assert_eq!(told.len(), 300);
    everybody_is_spread(&before);
    let was_on_b = |client: &Told| client.nodes.last().is_some_and(|node| node == "b");
    let moved = before.iter().filter(|client| was_on_b(client)).count();
    for client in &told {
        assert!(!was_on_b(client), "{client:?}");
        kept_its_session(client);
        heard_everything_once(client, &told[0], &backends);
    }
    eprintln!(
        "300 clients of one address on three nodes, {} before the kill: {} alerts accepted, {} refused while node b died; {moved} \
         clients of b came back and recovered; missed 0, doubled 0, one order",
        spread(&before),
        backends.accepted.len(),
        backends.refused.len(),
    );
}

/// How many clients of each transport each node has.
fn spread(told: &[Told]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for client in told {
        *counts
            .entry(format!("{} {}", client.nodes[0], client.transport))
            .or_default() += 1;
    }
    format!("{counts:?}")
}

fn everybody_is_spread(told: &[Told]) {
    for node in NODES {
        for transport in ["polling", "upgrade", "websocket"] {
            let is_there = told
                .iter()
                .any(|client| client.nodes[0] == node && client.transport == transport);
            assert!(is_there, "nobody on {node} over {transport}: {}", spread(told));
        }
    }
}

/// Wherever it had to connect again (where its node died, or two busy cores let a handshake wait for too long), it was given
/// back what it had; and no request of it ever came to a node that does not have its session.
fn kept_its_session(client: &Told) {
    assert_eq!(client.recovered, client.nodes.len() - 1, "{client:?}");
    let is_unknown = client.troubles.iter().any(|trouble| trouble["status"] == 400);
    assert!(!is_unknown, "{client:?}");
    assert!(client.surprises.is_empty(), "{client:?}");
}

fn heard_everything_once(client: &Told, first: &Told, backends: &Backends) {
    let who = format!("{} over {}, on {:?}", client.version, client.transport, client.nodes);
    let distinct: HashSet<&String> = client.heard.iter().collect();
    assert_eq!(distinct.len(), client.heard.len(), "{who} heard some twice");
    for message in &backends.accepted {
        assert!(distinct.contains(message), "{who} missed {message}");
    }
    // What was refused may have been stored before its node died, and is then told like everything else.
    let known: HashSet<&String> = backends
        .accepted
        .iter()
        .chain(backends.refused.iter().map(|(message, _)| message))
        .collect();
    assert!(distinct.is_subset(&known), "{who}");
    // One of those may still be on its way to some.
    let is_same_order = client.heard.iter().zip(&first.heard).all(|(one, other)| one == other);
    assert!(is_same_order, "{who} heard them in another order");
}

/// What curl answers; it trusts the certificate's authority.
fn curl(nginx: &Nginx, arguments: &[&str]) -> String {
    let done = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(nginx.authority())
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx: make cluster"]
async fn the_edge_speaks_tls_1_2_and_later_http_2_and_says_what_browsers_must_not_do() {
    let (cluster, nginx) = three_nodes().await;
    let url = |path: &str| format!("{}{path}", nginx.url());
    let status = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"];
    let ask = |arguments: &[&str]| curl(&nginx, &[&status, arguments].concat());

    assert_eq!(ask(&["--http2", &url("/health")]), "2 200");
    assert_eq!(ask(&["--http1.1", "--tls-max", "1.2", &url("/health")]), "1.1 200");
    let old = curl(
        &nginx,
        &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", &url("/health")],
    );
    assert!(old.contains("protocol version"), "{old}");
    assert_eq!(ask(&[&url("/metrics")]), "2 404", "asked of the nodes, not here");
    let polling = url("/socket.io/?EIO=4&transport=polling");
    assert_eq!(ask(&[&polling]), "2 200");

    let plain = format!("{}/health?a=b", nginx.plain_url());
    let redirect = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{redirect_url}",
        &plain,
    ];
    assert_eq!(curl(&nginx, &redirect), "308 https://127.0.0.1/health?a=b");

    for path in ["/health", "/nowhere", "/socket.io/?EIO=4&transport=polling", "/metrics"] {
        let head = curl(
            &nginx,
            &["--http1.1", "--dump-header", "-", "--output", "/dev/null", &url(path)],
        );
        for header in [
            "strict-transport-security: max-age=31536000",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "x-frame-options: sameorigin",
            "content-security-policy: frame-ancestors 'self'",
            "server: nginx",
        ] {
            let count = head.lines().filter(|line| line.to_lowercase().trim() == header).count();
            assert_eq!(count, 1, "{path}: {header} in\n{head}");
        }
    }

    let token = service().token(SystemClock.now());
    let logged = url(&format!("/socket.io/?EIO=4&transport=websocket&token={token}"));
    assert_eq!(ask(&[&logged]), "2 400");
    drop(cluster);
    assert_eq!(ask(&[&logged]), "2 502");
    let logs = nginx.log("access.log") + &nginx.log("error.log");
    assert!(logs.contains("/socket.io/") && !logs.contains(&token), "{logs}");
}

/// Takes requests and closes the connection instead of an answer, as a node does that is killed meanwhile; counts them.
async fn dying_node(requests: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() > 0
            {
            }
            requests.fetch_add(1, Ordering::Relaxed);
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx: make cluster"]
async fn a_post_that_has_reached_a_node_is_never_sent_to_another() {
    let requests = Arc::new(AtomicUsize::new(0));
    let nodes = [
        dying_node(Arc::clone(&requests)).await,
        dying_node(Arc::clone(&requests)).await,
        dying_node(Arc::clone(&requests)).await,
    ];
    let nginx = Nginx::before(nodes).await;
    let url = format!("{}/api/alerts/patient", nginx.url());
    let ask = |arguments: &[&str]| {
        curl(
            &nginx,
            &[&["--output", "/dev/null", "--write-out", "%{http_code}"], arguments].concat(),
        )
    };

    let posted = ask(&["--data", "{}", &url]);
    let after_post = requests.swap(0, Ordering::Relaxed);
    let read = ask(&[&url]);
    let after_get = requests.load(Ordering::Relaxed);

    assert_eq!((posted.as_str(), after_post), ("502", 1));
    assert_eq!(
        (read.as_str(), after_get),
        ("502", 3),
        "what only reads is asked of every node"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx: make cluster"]
async fn a_post_goes_on_to_the_next_node_where_one_is_down_and_sessions_of_that_one_end() {
    let (mut cluster, nginx) = three_nodes().await;
    let open = curl(
        &nginx,
        &[&format!("{}/socket.io/?EIO=4&transport=polling", nginx.url())],
    );
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    let session = open["sid"].as_str().unwrap();
    let node = NODES.iter().position(|node| session.starts_with(node)).unwrap();
    let poll = format!("{}/socket.io/?EIO=4&transport=polling&sid={session}", nginx.url());
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let ask = |arguments: &[&str]| curl(&nginx, &[&status, arguments].concat());
    assert_eq!(ask(&["--data", "40", &poll]), "200", "its node knows it");

    cluster.kill(node);

    assert_eq!(ask(&["--data", "40", &poll]), "502", "told at once");
    let authorization = format!("authorization: Bearer {}", service().token(SystemClock.now()));
    let url = format!("{}/api/alerts/patient", nginx.url());
    let body = r#"{"patient_id":"P-1","alert_type":"critical","alert_data":{}}"#;
    for _ in 0..6 {
        let posted = ask(&[
            "-H",
            &authorization,
            "-H",
            "content-type: application/json",
            "--data",
            body,
            &url,
        ]);
        assert_eq!(posted, "201");
    }
    assert_eq!(ask(&[&poll.replace(session, "z.0123")]), "400", "a session of no node");
}
