//! Alerts: their types, and what their payloads look like (contract A §4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    AlertFacts, AlertScope, Event, EventId, EventName, FreeForm, HospitalId, PatientId, Payload, Room, RoomName,
    Timestamp,
};

/// Fields that the server sets in every alert; what a backend sends under these names is left out.
///
/// `timestamp` is not among them: a backend's own wins over ours.
pub const RESERVED: [&str; 6] = [
    "alert_type",
    "patient_id",
    "hospital_id",
    "alert_id",
    "event_id",
    "suppressed",
];

/// The `alert_type` of a `patient_alert`. Ordered by severity: `Info` is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatientAlertType {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must come. Never held back.
    Critical,
}

impl PatientAlertType {
    /// The type as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for PatientAlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no type of a patient's alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be critical, warning or info")]
pub struct UnknownPatientAlertType;

impl FromStr for PatientAlertType {
    type Err = UnknownPatientAlertType;

    fn from_str(text: &str) -> Result<Self, UnknownPatientAlertType> {
        [Self::Info, Self::Warning, Self::Critical]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(UnknownPatientAlertType)
    }
}

/// The `alert_type` of a `hospital_alert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HospitalAlertType {
    /// All hands.
    Emergency,
    /// Beds run out, or no longer do.
    Capacity,
    /// Something technical.
    System,
    /// Good to know.
    Info,
}

impl HospitalAlertType {
    /// The type as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Capacity => "capacity",
            Self::System => "system",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for HospitalAlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no type of a hospital's alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be emergency, capacity, system or info")]
pub struct UnknownHospitalAlertType;

impl FromStr for HospitalAlertType {
    type Err = UnknownHospitalAlertType;

    fn from_str(text: &str) -> Result<Self, UnknownHospitalAlertType> {
        [Self::Emergency, Self::Capacity, Self::System, Self::Info]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(UnknownHospitalAlertType)
    }
}

/// A patient's alert, about to be told.
#[derive(Clone, Debug)]
pub struct PatientAlert<'a> {
    /// The event's and the alert's id.
    pub id: EventId,
    /// Whom it is about.
    pub patient_id: &'a PatientId,
    /// The hospital that they belong to, where known; the history is searched by it.
    pub hospital_id: Option<HospitalId>,
    /// How severe it is.
    pub alert_type: PatientAlertType,
    /// What is spread into the payload.
    pub data: &'a FreeForm,
    /// When it is raised.
    pub at: Timestamp,
    /// Over the limit: it is kept and nobody is told.
    pub is_suppressed: bool,
}

impl PatientAlert<'_> {
    /// The `patient_alert` that tells it.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        let spread = Spread::of(self.data, self.at);
        let payload = Payload::encode(&PatientPayload {
            alert_type: self.alert_type,
            patient_id: self.patient_id,
            timestamp: spread.timestamp,
            message: spread.needs_message.then_some(match self.alert_type {
                PatientAlertType::Info => "Information",
                PatientAlertType::Warning => "Warning",
                PatientAlertType::Critical => "Critical alert",
            }),
            data: spread.data,
            alert_id: self.id,
            event_id: self.id,
            suppressed: self.is_suppressed,
        })?;
        Ok(Event {
            id: self.id,
            name: EventName::PATIENT_ALERT,
            rooms: vec![RoomName::from(Room::Patient(self.patient_id.clone()))],
            payload,
            raised_at: self.at,
            alert: Some(AlertFacts {
                scope: AlertScope::Patient,
                alert_type: self.alert_type.as_str().to_owned(),
                patient_id: Some(self.patient_id.clone()),
                hospital_id: self.hospital_id.clone(),
                is_suppressed: self.is_suppressed,
            }),
        })
    }
}

/// A hospital's alert, about to be told.
#[derive(Clone, Debug)]
pub struct HospitalAlert<'a> {
    /// The event's and the alert's id.
    pub id: EventId,
    /// Whom it is for.
    pub hospital_id: &'a HospitalId,
    /// Of what kind it is.
    pub alert_type: HospitalAlertType,
    /// What is shown; wins over a `message` in `data`.
    pub message: Option<&'a str>,
    /// What is spread into the payload.
    pub data: &'a FreeForm,
    /// When it is raised.
    pub at: Timestamp,
}

impl HospitalAlert<'_> {
    /// The `hospital_alert` that tells it.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        let mut spread = Spread::of(self.data, self.at);
        let message = self.message.or(spread.needs_message.then_some(match self.alert_type {
            HospitalAlertType::Emergency => "Emergency",
            HospitalAlertType::Capacity => "Capacity",
            HospitalAlertType::System => "System message",
            HospitalAlertType::Info => "Information",
        }));
        spread.data.has_message &= message.is_none();
        let payload = Payload::encode(&HospitalPayload {
            alert_type: self.alert_type,
            hospital_id: self.hospital_id,
            timestamp: spread.timestamp,
            message,
            data: spread.data,
            alert_id: self.id,
            event_id: self.id,
        })?;
        Ok(Event {
            id: self.id,
            name: EventName::HOSPITAL_ALERT,
            rooms: vec![RoomName::from(Room::Hospital(self.hospital_id.clone()))],
            payload,
            raised_at: self.at,
            alert: Some(AlertFacts {
                scope: AlertScope::Hospital,
                alert_type: self.alert_type.as_str().to_owned(),
                patient_id: None,
                hospital_id: Some(self.hospital_id.clone()),
                is_suppressed: false,
            }),
        })
    }
}

/// A backend's data, ready to stand between the fields that the server sets.
struct Spread<'a, T> {
    data: Rest<'a>,
    timestamp: Stamp<T>,
    /// The panel shows `message`, so there must be one.
    needs_message: bool,
}

impl<'a> Spread<'a, ()> {
    fn of(data: &'a FreeForm, at: Timestamp) -> Spread<'a, impl Serialize + 'a> {
        let timestamp = data.field("timestamp").map_or(Stamp::Ours(at), Stamp::Theirs);
        let needs_message = data.field("message").is_none();
        Spread {
            data: Rest {
                data,
                has_message: !needs_message,
            },
            timestamp,
            needs_message,
        }
    }
}

/// A backend's fields but for those that the server sets.
struct Rest<'a> {
    data: &'a FreeForm,
    has_message: bool,
}

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_theirs = |name: &str| match name {
            "timestamp" => false,
            "message" => self.has_message,
            other => !RESERVED.contains(&other),
        };
        serializer.collect_map(self.data.0.iter().filter(|(name, _)| is_theirs(name)))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Stamp<T> {
    Ours(Timestamp),
    Theirs(T),
}

#[derive(Serialize)]
struct PatientPayload<'a, T: Serialize> {
    alert_type: PatientAlertType,
    patient_id: &'a PatientId,
    timestamp: Stamp<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    data: Rest<'a>,
    alert_id: EventId,
    event_id: EventId,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    suppressed: bool,
}

#[derive(Serialize)]
struct HospitalPayload<'a, T: Serialize> {
    alert_type: HospitalAlertType,
    hospital_id: &'a HospitalId,
    timestamp: Stamp<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    data: Rest<'a>,
    alert_id: EventId,
    event_id: EventId,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn at() -> Timestamp {
        "2026-02-15T10:30:00.123456Z".parse().unwrap()
    }

    fn form(json: &str) -> FreeForm {
        serde_json::from_str(json).unwrap()
    }

    fn patient_alert(data: &FreeForm, is_suppressed: bool) -> Event {
        PatientAlert {
            id: EventId::new(),
            patient_id: &PatientId::parse("patient_123").unwrap(),
            hospital_id: Some(HospitalId::parse("hosp_456").unwrap()),
            alert_type: PatientAlertType::Critical,
            data,
            at: at(),
            is_suppressed,
        }
        .event()
        .unwrap()
    }

    fn hospital_alert(message: Option<&str>, data: &FreeForm) -> Event {
        HospitalAlert {
            id: EventId::new(),
            hospital_id: &HospitalId::parse("hosp_456").unwrap(),
            alert_type: HospitalAlertType::Emergency,
            message,
            data,
            at: at(),
        }
        .event()
        .unwrap()
    }

    #[test]
    fn a_patients_alert_is_written_as_the_contract_lists_it() {
        let event = patient_alert(
            &form(r#"{"message":"SpO2 falls","vitals":{"spo2":84},"severity":5}"#),
            false,
        );

        let id = event.id;
        assert_eq!(event.rooms, [RoomName::from("patient_patient_123")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"alert_type":"critical","patient_id":"patient_123","timestamp":"2026-02-15T10:30:00.123456+00:00","message":"SpO2 falls","vitals":{{"spo2":84}},"severity":5,"alert_id":"{id}","event_id":"{id}"}}"#
            )
        );
    }

    #[test]
    fn a_hospitals_alert_is_written_as_the_contract_lists_it() {
        let event = hospital_alert(Some("Code blue"), &form(r#"{"floor":3}"#));

        let id = event.id;
        assert_eq!(event.rooms, [RoomName::from("hospital_hosp_456")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"alert_type":"emergency","hospital_id":"hosp_456","timestamp":"2026-02-15T10:30:00.123456+00:00","message":"Code blue","floor":3,"alert_id":"{id}","event_id":"{id}"}}"#
            )
        );
    }

    #[test]
    fn the_history_can_find_a_patients_alert_by_hospital() {
        let facts = patient_alert(&FreeForm::default(), true).alert.unwrap();

        assert_eq!(facts.scope, AlertScope::Patient);
        assert_eq!(facts.alert_type, "critical");
        assert_eq!(facts.patient_id.unwrap().as_str(), "patient_123");
        assert_eq!(facts.hospital_id.unwrap().as_str(), "hosp_456");
        assert!(facts.is_suppressed);
    }

    #[test]
    fn a_suppressed_alert_says_so_itself() {
        let is_marked = |is_suppressed| {
            let payload = patient_alert(&form(r#"{"suppressed":"x"}"#), is_suppressed).payload;
            payload.as_json().contains(r#""suppressed":true"#)
        };

        assert!(is_marked(true));
        assert!(!is_marked(false));
    }

    #[test]
    fn there_is_always_a_message_for_the_panel() {
        for (data, message) in [
            ("{}", r#""message":"Critical alert""#),
            (r#"{"message":null}"#, r#""message":"Critical alert""#),
            (r#"{"message":"Own"}"#, r#""message":"Own""#),
        ] {
            let payload = patient_alert(&form(data), false).payload;
            assert!(payload.as_json().contains(message), "{data}: {}", payload.as_json());
            assert_eq!(
                payload.as_json().matches(r#""message""#).count(),
                1,
                "{}",
                payload.as_json()
            );
        }
        for (message, data, expected) in [
            (None, "{}", r#""message":"Emergency""#),
            (None, r#"{"message":"In data"}"#, r#""message":"In data""#),
            (Some("Own"), r#"{"message":"In data"}"#, r#""message":"Own""#),
        ] {
            let payload = hospital_alert(message, &form(data)).payload;
            assert!(payload.as_json().contains(expected), "{}", payload.as_json());
            assert_eq!(
                payload.as_json().matches(r#""message""#).count(),
                1,
                "{}",
                payload.as_json()
            );
        }
    }

    #[test]
    fn types_are_read_exactly_as_they_are_written() {
        for (text, read) in [
            ("info", Some(PatientAlertType::Info)),
            ("warning", Some(PatientAlertType::Warning)),
            ("critical", Some(PatientAlertType::Critical)),
            ("Critical", None),
            ("emergency", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), read, "{text:?}");
        }
        for (text, read) in [
            ("emergency", Some(HospitalAlertType::Emergency)),
            ("capacity", Some(HospitalAlertType::Capacity)),
            ("system", Some(HospitalAlertType::System)),
            ("info", Some(HospitalAlertType::Info)),
            ("critical", None),
        ] {
            assert_eq!(text.parse().ok(), read, "{text:?}");
        }
    }

    #[test]
    fn severity_rises_from_info_to_critical() {
        assert!(PatientAlertType::Info < PatientAlertType::Warning);
        assert!(PatientAlertType::Warning < PatientAlertType::Critical);
    }

    mod property {
        use proptest::prelude::*;
        use serde_json::{Map, json};

        use super::*;

        fn any_value() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                "\\PC{0,12}".prop_map(Value::from),
            ];
            leaf.prop_recursive(3, 24, 6, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                    prop::collection::vec(("\\PC{0,8}", inner), 0..6)
                        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
                ]
            })
        }

        fn any_data() -> impl Strategy<Value = FreeForm> {
            let names = prop_oneof![
                2 => prop::sample::select(RESERVED.to_vec()).prop_map(str::to_owned),
                1 => Just("timestamp".to_owned()),
                1 => Just("message".to_owned()),
                4 => "\\PC{0,8}",
            ];
            prop::collection::vec((names, any_value()), 0..12).prop_map(|fields| FreeForm(fields.into_iter().collect()))
        }

        proptest! {
            #[test]
            fn data_passes_through_in_order_and_overwrites_nothing(data in any_data(), is_suppressed in any::<bool>()) {
                let event = patient_alert(&data, is_suppressed);
                let payload: Map<String, Value> = serde_json::from_str(event.payload.as_json()).unwrap();

                prop_assert_eq!(&payload["alert_type"], &json!("critical"));
                prop_assert_eq!(&payload["patient_id"], &json!("patient_123"));
                prop_assert_eq!(&payload["alert_id"], &json!(event.id));
                prop_assert_eq!(&payload["event_id"], &json!(event.id));
                prop_assert_eq!(payload.get("hospital_id"), None);
                prop_assert_eq!(payload.get("suppressed"), is_suppressed.then_some(&json!(true)));
                let ours = json!(at());
                let timestamp = data.0.get("timestamp").filter(|theirs| !theirs.is_null()).unwrap_or(&ours);
                prop_assert_eq!(&payload["timestamp"], timestamp);
                prop_assert!(!payload["message"].is_null());

                let placed = |name: &&String| name.as_str() != "timestamp" && name.as_str() != "message";
                let sent: Vec<_> =
                    data.0.keys().filter(placed).filter(|name| !RESERVED.contains(&name.as_str())).collect();
                let told: Vec<_> =
                    payload.keys().filter(placed).filter(|name| !RESERVED.contains(&name.as_str())).collect();
                prop_assert_eq!(&sent, &told, "the same fields in the same order");
                for name in sent {
                    prop_assert_eq!(&payload[name], &data.0[name]);
                }
                // As text: no name may stand there twice, whatever a reader would make of it.
                let names = serde_json::from_str::<Names>(event.payload.as_json()).unwrap().0;
                prop_assert_eq!(names.len(), payload.len());
            }
        }

        /// The names of an object, repetitions included.
        struct Names(Vec<String>);

        impl<'de> Deserialize<'de> for Names {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = Names;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                        let mut names = Vec::new();
                        while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                            names.push(name);
                        }
                        Ok(Names(names))
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }
    }
}
