//! What every alert, client or message passes through, each with a small real input: timed by `micro`, counted by
//! `instructions`.

#[path = "../../src/bus/bridges/json.rs"]
#[expect(unused_imports, reason = "its tests are not these")]
mod json;
#[path = "../../src/bus/bridges/pickle/mod.rs"]
#[expect(dead_code, reason = "its tests are not these")]
mod pickle;
#[path = "../../src/bus/bridges/python/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it is public where it belongs, and its tests are not these"
)]
mod python;
mod sockets;

use std::hint::black_box;
use std::time::Duration;

use serde_json::json;
use wardbell::domain::access::{Identity, Proof, Role, may_join};
use wardbell::domain::alert::{PatientAlert, PatientAlertType};
use wardbell::domain::limiter::{AlertLimit, AlertLimiter, Verdict};
use wardbell::domain::news2::{Given, Observations};
use wardbell::domain::{EventId, FreeForm, HospitalId, PatientId, Room, Timestamp, UserId};
use wardbell::socket::recovery::shim::{FrameRewriter, append_text_frame, rewrite_payload};

/// A path, and how often a count of instructions goes through it: often enough that beginning does not matter.
pub(crate) struct HotPath {
    pub(crate) name: &'static str,
    pub(crate) rounds: u32,
    /// Prepares everything and answers the path itself.
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
}

/// All of them.
pub(crate) const ALL: &[HotPath] = &[
    path("alert_to_event", 1_000, alert_to_event),
    path("event_to_64_members", 20, sockets::event_to_64_members),
    path("event_past_1000_rooms", 20, sockets::event_past_1000_rooms),
    path("may_join", 1_000, may_join_own_patient),
    path("news2", 1_000, news2),
    path("limiter", 1_000, limiter),
    path("pickle", 1_000, read_pickle),
    path("polling_body", 1_000, polling_body),
    path("websocket_frames", 1_000, websocket_frames),
];

const fn path(name: &'static str, rounds: u32, prepare: fn() -> Box<dyn FnMut()>) -> HotPath {
    HotPath { name, rounds, prepare }
}

/// 15 February 2026, as the contract's examples have it.
const NOW: Timestamp = Timestamp::from_micros(1_771_151_400_123_456);
const PID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a monitor's backend posts.
fn alert_data() -> FreeForm {
    let data = json!({"severity": "high", "heart_rate": 148, "spo2": 86, "bp": "182/110", "unit": "ICU-3", "bed": "12B",
                      "message": "Heart rate above threshold for 30 s, SpO2 falling"});
    FreeForm::of(&data).unwrap()
}

fn alert_to_event() -> Box<dyn FnMut()> {
    let (data, patient_id) = (alert_data(), PatientId::parse("PAT-1A2B3C4D").unwrap());
    Box::new(move || {
        let alert = PatientAlert {
            id: EventId::new(),
            patient_id: &patient_id,
            hospital_id: None,
            alert_type: PatientAlertType::Critical,
            data: &data,
            at: NOW,
            is_suppressed: false,
        };
        black_box(black_box(alert).event().unwrap());
    })
}

fn may_join_own_patient() -> Box<dyn FnMut()> {
    let hospital = HospitalId::parse("hosp_456").unwrap();
    let nurse = Identity {
        user_id: UserId::parse("nurse-7").unwrap(),
        role: Role::Nurse,
        hospital_id: Some(hospital.clone()),
        staff_id: None,
        patient_id: None,
        name: None,
        proof: Proof::Token,
    };
    Box::new(move || {
        let room: Room = black_box("patient_PAT-1A2B3C4D").parse().unwrap();
        assert!(black_box(may_join(black_box(&nurse), &room, Some(&hospital))));
    })
}

fn news2() -> Box<dyn FnMut()> {
    let observations = Observations {
        respiratory_rate: Given::Value(22.0),
        oxygen_saturation: Given::Value(93.0),
        supplemental_oxygen: Given::Value(true),
        blood_pressure: Given::Value("98/60".to_owned()),
        heart_rate: Given::Value(112.0),
        consciousness: Given::Value("A".to_owned()),
        temperature: Given::Value(38.4),
        ..Observations::default()
    };
    Box::new(move || {
        let score = black_box(&observations).check().unwrap().score();
        black_box(score.explanation(Vec::new()));
    })
}

/// A thousand patients by turns, each within and beyond the limit.
fn limiter() -> Box<dyn FnMut()> {
    let mut limiter = AlertLimiter::new(AlertLimit::default());
    let patients: Vec<PatientId> = (0..1_000)
        .map(|number| PatientId::parse(&format!("PAT-{number}")).unwrap())
        .collect();
    for patient in &patients {
        limiter.seed(patient.clone(), &[], NOW);
    }
    let (mut turn, mut now) = (0, NOW);
    Box::new(move || {
        now = now.plus(Duration::from_millis(3));
        turn = (turn + 1) % patients.len();
        let verdict = limiter.admit(&patients[turn], PatientAlertType::Warning, now);
        assert_ne!(black_box(verdict), Verdict::Unseen);
    })
}

/// What Flask-SocketIO 5.3 publishes for `emit("patient_alert", {…}, room="patient_PAT-1")`, as `pickle.dumps` writes it.
fn read_pickle() -> Box<dyn FnMut()> {
    let message = include_bytes!("patient_alert.pickle");
    let dialect = python::Dialect::default();
    Box::new(move || {
        let published =
            python::read(black_box(message), dialect, 1_000_000).unwrap_or_else(|_| panic!("it is well-formed"));
        black_box(published);
    })
}

const CONNECT: &str = r#"40{"sid":"55Lfr1ynTsvJVlyz"}"#;
const GREETING: &str = r#"42["connection_response",{"status":"connected","sid":"55Lfr1ynTsvJVlyz","timestamp":"2026-02-15T10:30:00.123456+00:00"}]"#;

fn polling_body() -> Box<dyn FnMut()> {
    let body = format!("{CONNECT}\u{1e}{GREETING}");
    Box::new(move || {
        let payload = rewrite_payload(black_box(body.as_bytes()), Some(PID));
        assert!(black_box(payload).rewritten.is_some());
    })
}

fn websocket_frames() -> Box<dyn FnMut()> {
    let mut frames = Vec::new();
    for packet in [
        r#"0{"sid":"de64ee81f67544fa9ed3ea6df5d30f2e","upgrades":[]}"#,
        CONNECT,
        GREETING,
    ] {
        append_text_frame(packet.as_bytes(), &mut frames);
    }
    Box::new(move || {
        let (mut rewriter, mut out) = (FrameRewriter::new(), Vec::new());
        rewriter.push(black_box(&frames), Some(PID), &mut out);
        assert!(rewriter.is_done());
        black_box(out);
    })
}
