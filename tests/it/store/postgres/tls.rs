//! TLS to PostgreSQL: what libpq takes is taken, what it refuses is refused, and the log says why.

use std::path::Path;
use std::sync::Arc;

use wardbell::clock::ManualClock;
use wardbell::ports::EventStore;
use wardbell::store::postgres::{PostgresStore, Settings};

use super::super::conformance::fixtures::{START, append, commit, event};
use super::server::on;
use crate::support::certificates::{Certificates, Owned};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::process::Setup;

/// What a certificate without authority over others says.
const LEAF: &str = "basicConstraints=CA:FALSE";
const EVERYBODY: &str = "host all all 127.0.0.1/32 trust";
const PASSWORD: &str = "p@ss/w?rd:%&#";
const ENCODED: &str = "p%40ss%2Fw%3Frd%3A%25%26%23";

/// A name for 127.0.0.1 in a URL.
fn named(server: &Postgres, host: &str) -> String {
    let port = server.addr().port();
    format!("postgres://wardbell@{host}:{port}/postgres?hostaddr=127.0.0.1")
}

async fn with<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn server_with(owned: &Owned, access: &'static str) -> Arc<Postgres> {
    let owned = owned.clone();
    with(move || Arc::new(Postgres::with_certificate(&owned, access))).await
}

/// A store at this URL, if it gets to its database.
async fn opened(url: &str) -> Option<PostgresStore> {
    let store = PostgresStore::open(Settings::at(url), Arc::new(ManualClock::starting_at(START)));
    let store = store.await.ok()?;
    store.check().await.ok().map(|()| store)
}

/// Asserts that libpq and we do the same with a URL, and that it is what is expected.
#[track_caller]
fn assert_taken(server: &Arc<Postgres>, url: String, is_taken: bool) -> impl Future<Output = ()> {
    let (server, caller) = (Arc::clone(server), std::panic::Location::caller());
    async move {
        let ours = opened(&url).await.is_some();
        let libpq = with({
            let url = url.clone();
            move || server.libpq_takes(&url)
        })
        .await;
        assert_eq!((ours, libpq), (is_taken, is_taken), "(ours, libpq) at {caller}: {url}");
    }
}

/// Whether our connections to the server are encrypted, and as whom the client's certificate says.
async fn encrypted(server: &Arc<Postgres>) -> String {
    let server = Arc::clone(server);
    with(move || {
        let sql = "SELECT DISTINCT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE application_name = 'wardbell'";
        server.sql("postgres", sql)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_certificate_is_taken_and_refused_as_libpq_does() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let (host, other_host, address) = ("db.ward.test", "db2.ward.test", "127.0.0.1");
    let named_twice = "subjectAltName=DNS:db.ward.test,IP:127.0.0.1";
    let (by_us, by_itself) = (ours.authority(), |owned: &Owned| owned.certificate.clone());
    let (alone, snakeoil) = (
        ours.sign_oneself("alone", host, "basicConstraints=critical,CA:TRUE"),
        ours.sign_oneself("snakeoil", "other", &format!("{LEAF}\nsubjectAltName=DNS:db.ward.test")),
    );
    // The certificate, who is to be trusted for it to be, and the hosts that it is for.
    let kinds = [
        (
            ours.issue("named", "other", named_twice),
            by_us.clone(),
            &[host, address][..],
        ),
        (
            ours.issue("wildcard", "other", "subjectAltName=DNS:*.ward.test"),
            by_us.clone(),
            &[host, other_host],
        ),
        (ours.issue("common", host, LEAF), by_us.clone(), &[host]),
        (
            ours.issue("common-wildcard", "*.ward.test", LEAF),
            by_us.clone(),
            &[host, other_host],
        ),
        (ours.issue("common-address", address, LEAF), by_us.clone(), &[address]),
        (
            ours.issue("address-as-name", "other", "subjectAltName=DNS:127.0.0.1"),
            by_us.clone(),
            &[address],
        ),
        // A common name does not count beside alternative ones of its kind.
        (
            ours.issue("overruled", host, "subjectAltName=DNS:db2.ward.test"),
            by_us.clone(),
            &[other_host],
        ),
        (ours.issue("version-1", host, ""), by_us.clone(), &[host]),
        (
            ours.issue_through_another("chained", "other", named_twice),
            by_us,
            &[host, address],
        ),
        (snakeoil.clone(), by_itself(&snakeoil), &[host]),
        (alone.clone(), by_itself(&alone), &[host]),
    ];
    let server = server_with(&kinds[0].0, EVERYBODY).await;

    for (owned, trusted, names) in &kinds {
        let (restarting, owned) = (Arc::clone(&server), owned.clone());
        with(move || {
            restarting.kill();
            restarting.take_certificate(&owned);
            restarting.restart();
        })
        .await;
        let (trusted, others) = (trusted.display(), others.authority());
        let others = others.display();
        let url = |host: &str, rest: &str| format!("{}&{rest}", named(&server, host));
        assert_taken(&server, url(other_host, "sslmode=require"), true).await;
        for mode in ["require", "verify-ca"] {
            let by = |root: &dyn std::fmt::Display| format!("sslmode={mode}&sslrootcert={root}");
            assert_taken(&server, url(other_host, &by(&trusted)), true).await;
            assert_taken(&server, url(host, &by(&others)), false).await;
        }
        for host in [host, other_host, address] {
            let full = format!("sslmode=verify-full&sslrootcert={trusted}");
            assert_taken(&server, url(host, &full), names.contains(&host)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_tls_1_2_only_is_taken_with_certificates_of_both_versions() {
    let certificates = Certificates::new();
    let host = "db.ward.test";
    let modern = certificates.issue("modern", host, LEAF);
    let old = certificates.issue("version-1", host, "");
    let server = server_with(&modern, EVERYBODY).await;
    let root = certificates.authority();
    let url = format!(
        "{}&sslmode=verify-full&sslrootcert={}",
        named(&server, host),
        root.display()
    );

    for owned in [modern, old] {
        let setting = Arc::clone(&server);
        with(move || {
            setting.sql("postgres", "ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'");
            setting.kill();
            setting.take_certificate(&owned);
            setting.restart();
        })
        .await;

        assert_taken(&server, url.clone(), true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modes_that_leave_encryption_open_end_where_libpq_ends() {
    let certificates = Certificates::new();
    let owned = certificates.issue("db", "db", LEAF);
    let plain = with(|| Arc::new(Postgres::start())).await;
    let both = server_with(&owned, EVERYBODY).await;
    let encrypted_only = server_with(&owned, "hostssl all all 127.0.0.1/32 trust").await;
    let plain_only = server_with(&owned, "hostnossl all all 127.0.0.1/32 trust").await;
    // What each mode comes to; `None`: no connection.
    let expected = [
        ("disable", [Some("f"), Some("f"), None, Some("f")]),
        ("allow", [Some("f"), Some("f"), Some("t"), Some("f")]),
        ("prefer", [Some("f"), Some("t"), Some("t"), Some("f")]),
        ("require", [None, Some("t"), Some("t"), None]),
    ];

    for (mode, ends) in expected {
        for (server, end) in [&plain, &both, &encrypted_only, &plain_only].into_iter().zip(ends) {
            let url = format!("{}&sslmode={mode}", named(server, "127.0.0.1"));
            assert_taken(server, url.clone(), end.is_some()).await;
            if let Some(end) = end {
                let store = opened(&url).await.unwrap();
                assert_eq!(encrypted(server).await, format!("{end}|"), "{mode}");
                store.close().await;
                eventually("the connections are closed", async || {
                    encrypted(server).await.is_empty().then_some(())
                })
                .await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_bound_to_the_encrypted_channel() {
    let certificates = Certificates::new();
    let owned = certificates.issue("db", "db", "subjectAltName=DNS:db.ward.test");
    let server = server_with(&owned, "host all all 127.0.0.1/32 scram-sha-256").await;
    let setting = Arc::clone(&server);
    with(move || setting.sql("postgres", &format!("ALTER ROLE wardbell PASSWORD '{PASSWORD}'"))).await;
    let port = server.addr().port();
    let url = |password: &str, rest: &str| {
        format!("postgres://wardbell:{password}@db.ward.test:{port}/postgres?hostaddr=127.0.0.1&{rest}")
    };
    let full = format!("sslmode=verify-full&sslrootcert={}", certificates.authority().display());

    assert_taken(&server, url(ENCODED, &format!("{full}&channel_binding=require")), true).await;
    assert_taken(&server, url(ENCODED, &full), true).await;
    assert_taken(&server, url(ENCODED, "sslmode=disable"), true).await;
    assert_taken(&server, url(ENCODED, "sslmode=disable&channel_binding=require"), false).await;
    assert_taken(&server, url("wrong", &full), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_certificate_is_who_it_is() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let owned = certificates.issue("db", "db", "subjectAltName=DNS:db.ward.test");
    let access = "hostssl all all 127.0.0.1/32 cert";
    let (given, authority) = (owned.clone(), certificates.authority());
    let server = with(move || {
        let server = Postgres::with_certificate_and_authority(&given, &authority, access);
        Arc::new(server)
    })
    .await;
    let url = |owned: Option<&Owned>| {
        let files = owned.map_or(String::new(), |owned| {
            format!(
                "&sslcert={}&sslkey={}",
                owned.certificate.display(),
                owned.key.display()
            )
        });
        let root = certificates.authority();
        format!(
            "{}&sslmode=verify-full&sslrootcert={}{files}",
            named(&server, "db.ward.test"),
            root.display()
        )
    };
    let (known, unknown) = (
        certificates.issue("us", "wardbell", LEAF),
        others.issue("us", "wardbell", LEAF),
    );
    let somebody = certificates.issue("somebody", "somebody", LEAF);

    assert_taken(&server, url(Some(&known)), true).await;
    assert_taken(&server, url(Some(&somebody)), false).await;
    assert_taken(&server, url(Some(&unknown)), false).await;
    assert_taken(&server, url(None), false).await;

    let _store = opened(&url(Some(&known))).await.unwrap();
    assert_eq!(encrypted(&server).await, "t|/CN=wardbell");
}

/// The log of a server that does not get to its database.
async fn complaint(setup: Setup) -> String {
    let server = setup.launch();
    eventually("it complains", async || {
        let log = server.log();
        log.contains("PostgreSQL cannot be reached").then_some(log)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_what_is_wrong_and_never_the_password() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let good = certificates.issue("good", "db", "subjectAltName=DNS:db.ward.test");
    let old = certificates.issue_expired("old", "db", "subjectAltName=DNS:db.ward.test");
    let password = "host all all 127.0.0.1/32 scram-sha-256";
    let secure = server_with(&good, password).await;
    let expired = server_with(&old, password).await;
    let of_clients = "hostssl all all 127.0.0.1/32 trust clientcert=verify-full";
    let (given, authority) = (good.clone(), certificates.authority());
    let asking = with(move || Postgres::with_certificate_and_authority(&given, &authority, of_clients)).await;
    let plain = with(Postgres::start).await;
    let url = |server: &Postgres, host: &str, root: &Path| {
        let port = server.addr().port();
        format!(
            "postgres://wardbell:hunter2@{host}:{port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
            root.display()
        )
    };
    let (ours, theirs) = (certificates.authority(), others.authority());

    for (url, part) in [
        (
            url(&secure, "db.ward.test", &theirs),
            "an authority that is not trusted",
        ),
        (url(&secure, "db2.ward.test", &ours), "another host name"),
        (url(&expired, "db.ward.test", &ours), "has expired"),
        (url(&plain, "db.ward.test", &ours), "does not speak TLS"),
        (url(&asking, "db.ward.test", &ours), "client certificate"),
        (url(&secure, "db.ward.test", &ours), "password authentication failed"),
    ] {
        let log = complaint(on(&url)).await;

        assert!(log.contains(part), "{part}: {log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_while_the_database_is_away_is_said() {
    let certificates = Certificates::new();
    let new = certificates.issue("new", "db", "subjectAltName=DNS:db.ward.test");
    let old = certificates.issue_expired("old", "db", "subjectAltName=DNS:db.ward.test");
    let database = server_with(&new, EVERYBODY).await;
    let root = certificates.authority();
    let url = format!(
        "{}&sslmode=verify-full&sslrootcert={}",
        named(&database, "db.ward.test"),
        root.display()
    );
    let node = on(&url).start().await;

    let _database = with(move || {
        database.kill();
        database.take_certificate(&old);
        database.restart();
        database
    })
    .await;

    // By whoever looks for PostgreSQL after a connection was lost, or by a request that had none to lose.
    eventually("it is said", async || node.log().contains("has expired").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_system_s_authorities_are_trusted_where_no_other_is_named() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let owned = certificates.issue("db", "db", "subjectAltName=DNS:db.ward.test");
    let database = server_with(&owned, EVERYBODY).await;
    let system = |certificates: &Certificates| certificates.authority().display().to_string();

    for rest in [
        "sslmode=verify-full",
        "sslmode=verify-full&sslrootcert=system",
        "sslrootcert=system",
    ] {
        let url = format!("{}&{rest}", named(&database, "db.ward.test"));

        let server = on(&url).set("SSL_CERT_FILE", &system(&certificates)).start().await;
        eventually("the store is up", async || {
            let ready = server.rest().get("/ready").await.json();
            (ready["parts"]["store"] == "up").then_some(())
        })
        .await;
        assert_eq!(encrypted(&database).await, "t|");
        drop(server);

        let log = complaint(on(&url).set("SSL_CERT_FILE", &system(&others))).await;
        assert!(log.contains("an authority that is not trusted"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_renewed_is_taken_without_a_restart() {
    let certificates = Certificates::new();
    let old = certificates.issue_expired("old", "db", "subjectAltName=DNS:db.ward.test");
    let new = certificates.issue("new", "db", "subjectAltName=DNS:db.ward.test");
    let server = server_with(&old, EVERYBODY).await;
    let root = certificates.authority();
    let url = format!(
        "{}&sslmode=verify-full&sslrootcert={}",
        named(&server, "db.ward.test"),
        root.display()
    );
    let store = PostgresStore::open(Settings::at(url), Arc::new(ManualClock::starting_at(START)));
    let store = store.await.unwrap();
    assert!(store.check().await.is_err());

    let _server = with(move || {
        server.kill();
        server.take_certificate(&new);
        server.restart();
        server
    })
    .await;

    eventually("the store is there", async || store.check().await.ok()).await;
    commit(&store, append([event(&["a"])])).await;
}
