//! The commands of the binary, against a server of the same binary.

use std::net::TcpListener;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::people::SECRET;
use crate::support::process::Setup;
use crate::support::{Answer, Packet, ServerProcess, eventually, in_time};

/// Runs a command in an environment of nothing but `variables`.
fn wardbell(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardbell"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap().trim().to_owned()
}

/// What a command printed that ended well.
#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
    stdout(output)
}

/// What a command complained of that ended with this code, having printed nothing.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    stderr(output)
}

fn in_token_mode() -> Setup {
    Setup::new().set("AUTH_MODE", "token").set("JWT_SECRET_KEY", SECRET)
}

async fn history(server: &ServerProcess, token: Option<&str>) -> Vec<Value> {
    let rest = match token {
        Some(token) => server.rest().token(token),
        None => server.rest(),
    };
    let answer = rest.get("/api/alerts/history?patient_id=P1").await.expect(200);
    answer.as_array().unwrap().clone()
}

fn token(arguments: &[&str]) -> String {
    printed(&wardbell(
        &[&["token"], arguments].concat(),
        &[("JWT_SECRET_KEY", SECRET)],
    ))
}

/// The `curl` line that a server prints on start, as a person would copy it.
fn curl_line(server: &ServerProcess) -> String {
    let log = server.log();
    let line: Vec<&str> = log
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("curl "))
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(!line.is_empty(), "no curl line:\n{log}");
    line.join("\n")
}

fn in_a_shell(line: &str, variables: &[(&str, &str)]) -> Output {
    Command::new("sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_curl_line_that_is_printed_raises_an_alert_in_open_mode() {
    let server = ServerProcess::start().await;

    let answer: Value = serde_json::from_str(&printed(&in_a_shell(&curl_line(&server), &[]))).unwrap();

    let alerts = history(&server, None).await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["alert_id"], answer["alert_id"]);
    assert_eq!(alerts[0]["alert_type"], "critical");
}

#[tokio::test]
async fn the_curl_line_that_is_printed_raises_an_alert_in_the_modes_with_tokens() {
    for mode in ["token", "legacy"] {
        let server = in_token_mode().set("AUTH_MODE", mode).start().await;

        printed(&in_a_shell(&curl_line(&server), &[("JWT_SECRET_KEY", SECRET)]));

        let alerts = history(&server, Some(&token(&["--role", "service"]))).await;
        assert_eq!(alerts.len(), 1, "{mode}");
    }
}

#[tokio::test]
async fn what_is_printed_and_logged_on_start_holds_neither_secret_nor_token() {
    let server = in_token_mode().start().await;

    let log = server.log();

    assert!(log.contains("token mode"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(!log.contains("eyJ"), "a token begins like that: {log}");
}

#[tokio::test]
async fn json_logs_are_json_in_every_line() {
    let server = Setup::new()
        .set("LOG_FORMAT", "json")
        .set("FLASK_ENV", "production")
        .start()
        .await;

    let log = server.log();

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines
            .iter()
            .any(|line| line["server.address"] == server.addr().to_string()),
        "{log}"
    );
    assert!(
        lines.iter().any(|line| line["message"]
            .as_str()
            .unwrap_or_default()
            .contains("FLASK_ENV is ignored")),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_says_on_start_which_node_it_is() {
    let server = Setup::new()
        .set("WARDBELL__SERVER__NODE", "ward-3")
        .set("LOG_FORMAT", "json")
        .start()
        .await;

    let log = server.log();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let listening = lines.find(|line| line["message"] == "listening").unwrap();
    assert_eq!(listening["server.node"], "ward-3");
}

#[tokio::test]
async fn emit_raises_a_patients_alert() {
    let server = ServerProcess::start().await;
    let port = server.addr().port().to_string();

    let command = [
        "emit",
        "patient",
        "P1",
        "critical",
        "SpO2 84 %",
        "--hospital",
        "hosp_456",
    ];
    let answer: Value = serde_json::from_str(&printed(&wardbell(&command, &[("PORT", &port)]))).unwrap();

    let alerts = history(&server, None).await;
    assert_eq!(alerts[0]["alert_id"], answer["alert_id"]);
    assert_eq!(alerts[0]["message"], "SpO2 84 %");
}

#[tokio::test]
async fn emit_raises_a_hospitals_alert_at_a_url() {
    let server = in_token_mode().start().await;
    let url = format!("http://{}/", server.addr());

    let command = [
        "emit",
        "hospital",
        "hosp_456",
        "emergency",
        "Fire on floor 2",
        "--url",
        &url,
    ];
    printed(&wardbell(&command, &[("JWT_SECRET_KEY", SECRET)]));

    let rest = server.rest().token(&token(&["--role", "admin"]));
    let alerts = rest.get("/api/alerts/history?hospital_id=hosp_456").await.expect(200);
    assert_eq!(alerts[0]["message"], "Fire on floor 2");
}

#[tokio::test]
async fn emit_tells_why_an_alert_was_not_taken() {
    let server = in_token_mode().start().await;
    let port = server.addr().port().to_string();
    let with_secret = [("PORT", port.as_str()), ("JWT_SECRET_KEY", SECRET)];

    let wrong_type = wardbell(&["emit", "patient", "P1", "urgent", "x"], &with_secret);
    let no_token = wardbell(&["emit", "patient", "P1", "critical", "x"], &[("PORT", &port)]);
    let bad_id = wardbell(&["emit", "patient", "P 1", "critical", "x"], &with_secret);

    assert!(complaint(&wrong_type, 1).contains("alert_type"));
    assert!(complaint(&no_token, 1).contains("401"));
    assert!(complaint(&bad_id, 2).contains("1 to 128 characters"));
}

#[tokio::test]
async fn a_token_that_was_signed_here_is_taken_by_a_server_with_the_same_secret() {
    let server = in_token_mode().start().await;
    let status = async |token: &str| -> Answer { server.rest().token(token).get("/api/status/socket").await };

    let ours = token(&[
        "--role",
        "doctor",
        "--user",
        "u1",
        "--hospital",
        "hosp_456",
        "--ttl",
        "8h",
    ]);
    let with_another = wardbell(
        &["token", "--role", "doctor"],
        &[("JWT_SECRET_KEY", "another-secret-0123456789abcdef01234")],
    );

    status(&ours).await.expect(200);
    status(&printed(&with_another)).await.expect_error(401);
}

#[test]
fn a_token_is_not_signed_without_a_secret_or_for_a_patient_without_id() {
    let without_secret = wardbell(&["token", "--role", "doctor"], &[]);
    let without_patient = wardbell(&["token", "--role", "patient"], &[("JWT_SECRET_KEY", SECRET)]);

    assert!(complaint(&without_secret, 1).contains("set JWT_SECRET_KEY"));
    assert!(complaint(&without_patient, 64).contains("--patient"));
}

#[test]
fn a_token_is_not_signed_where_there_is_only_a_public_key() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/src/auth/testdata/rsa_public.pem");
    let variables = [
        ("WARDBELL__AUTH__ALGORITHM", "RS256"),
        ("WARDBELL__AUTH__PUBLIC_KEY_FILE", key),
    ];

    let refused = wardbell(&["token", "--role", "doctor"], &variables);

    assert!(complaint(&refused, 1).contains("only the public key"));
}

#[tokio::test]
async fn healthcheck_says_by_its_exit_code_whether_the_server_is_ready() {
    let server = ServerProcess::start().await;
    let port = server.addr().port().to_string();

    let ready = wardbell(&["healthcheck"], &[("PORT", &port)]);
    let alive = wardbell(&["healthcheck", "--live"], &[("PORT", &port)]);
    drop(server.kill());
    let gone = wardbell(&["healthcheck"], &[("PORT", &port)]);

    printed(&ready);
    assert!(printed(&alive).contains("healthy"));
    assert!(complaint(&gone, 1).contains("no answer"));
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_64_and_names_everything_before_a_port_is_opened() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let wrong = [
        ("PORT", port.as_str()),
        ("AUTH_MODE", "opne"),
        ("LOG_FORMAT", "xml"),
        ("WARDBELL__SERVER__PROT", "1"),
    ];

    for command in [&["serve"][..], &[], &["check-config"]] {
        let complaint = complaint(&wardbell(command, &wrong), 64);

        for name in ["AUTH_MODE", "LOG_FORMAT", "WARDBELL__SERVER__PROT"] {
            assert!(complaint.contains(name), "{command:?}: {complaint}");
        }
    }
}

#[test]
fn a_public_key_that_is_none_is_a_problem_of_the_configuration() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let variables = [
        ("WARDBELL__AUTH__ALGORITHM", "ES256"),
        ("WARDBELL__AUTH__PUBLIC_KEY_FILE", key),
    ];

    let refused = wardbell(&["check-config"], &variables);

    assert!(complaint(&refused, 64).contains("auth.public_key_file"));
}

#[test]
fn an_address_of_postgresql_that_cannot_be_used_is_a_problem_of_the_configuration_and_its_password_is_not_said() {
    for (url, part) in [
        ("postgres://u:hunter2@db/w?sslmode=verify-ca", "sslrootcert"),
        (
            "postgres://u:hunter2@db/w?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
            "sslrootcert",
        ),
        (
            "postgres://u:hunter2@db/w?sslmode=require&sslrootcert=system",
            "verify-full",
        ),
        ("postgres://u:hunter2@db/w?target_session_attrs=any", "read-write"),
        ("postgres://u:hunter2@db/w?gssencmode=disable", "gssencmode"),
        ("postgres://u:hunter2@fe80::1/w", "percent-encoded"),
    ] {
        let variables = [
            ("DATABASE_URL", url),
            ("WARDBELL__AUTH__ALGORITHM", "ES256"),
            (
                "WARDBELL__AUTH__PUBLIC_KEY_FILE",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ),
        ];

        for command in [&["serve"][..], &["check-config"]] {
            let complaint = complaint(&wardbell(command, &variables), 64);

            assert!(
                complaint.contains("store.url") && complaint.contains(part),
                "{url}: {complaint}"
            );
            assert!(complaint.contains("auth.public_key_file"), "both at once: {complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }
}

#[test]
fn check_config_says_what_follows_from_the_configuration() {
    let valid = wardbell(
        &["check-config"],
        &[("JWT_SECRET_KEY", "short"), ("MODEL_PATH", "/models/risk.pkl")],
    );

    let text = printed(&valid);
    assert!(text.contains("warning: JWT_SECRET_KEY IS SHORT"), "{text}");
    assert!(text.contains("note: MODEL_PATH is ignored"), "{text}");
    assert!(text.contains("token mode on 127.0.0.1:5000"), "{text}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let database = format!("sqlite://{}/wardbell.db", folder.path().display());

    let refused = wardbell(
        &[],
        &[
            ("PORT", &address.port().to_string()),
            ("DATABASE_URL", &database),
            ("LOG_LEVEL", "error"),
        ],
    );

    assert!(complaint(&refused, 1).contains(&format!("cannot listen on {address}")));
}

#[tokio::test]
async fn a_signal_ends_the_server_well_and_its_sockets_so_that_they_come_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = ServerProcess::start().await;
        let mut client = server.visitor().connect().await;
        client.join("patient_P1").await;

        server.signal(signal);

        let last = client.until_closed().await;
        let said_goodbye = last.iter().any(|packet| matches!(packet, Packet::Disconnected));
        assert!(
            !said_goodbye,
            "a client that is told to go does not come back: {last:?}"
        );
        assert_eq!(server.ended().await.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = Setup::new()
        .set("WARDBELL__SERVER__SHUTDOWN_GRACE", "10m")
        .start()
        .await;
    // A body that never comes to its end holds up the soft end.
    let mut request = TcpStream::connect(server.addr()).await.unwrap();
    let head = "POST /api/alerts/patient HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                content-length: 100\r\nexpect: 100-continue\r\n\r\n";
    request.write_all(head.as_bytes()).await.unwrap();
    in_time("the server waits for the body", request.read_exact(&mut [0; 12]))
        .await
        .unwrap();

    server.signal(Signal::SIGTERM);
    eventually("the server has heard the first signal", async || {
        server.log().contains("stopping").then_some(())
    })
    .await;
    server.signal(Signal::SIGTERM);

    server.ended().await;
    assert!(server.log().contains("second signal"), "{}", server.log());
}

#[tokio::test]
async fn what_was_answered_before_the_signal_is_there_after_the_restart() {
    let mut server = ServerProcess::start().await;
    let alert = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {"message": "x"}});
    let answer = server.rest().post("/api/alerts/patient", &alert).await.expect(201);

    server.signal(Signal::SIGTERM);
    server.ended().await;
    let server = server.kill().start().await;

    assert_eq!(history(&server, None).await[0]["alert_id"], answer["alert_id"]);
}
