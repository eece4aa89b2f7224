//! What workers publish in our name: when it is an event of ours, and what becomes of its payload.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess};
use serde_json::value::RawValue;

use super::{
    AlertFacts, AlertScope, Event, EventId, EventName, HospitalId, InvalidRoom, PatientId, Payload, Room, RoomName,
    Timestamp,
};

/// The longest `alert_type` that the history can be searched by; no type is a tenth of that.
const MAX_ALERT_TYPE: usize = 64;

/// An event of ours that a worker has raised: one of the six names, told to rooms that clients can join. It lacks an id.
#[derive(Clone)]
pub struct WorkerEvent {
    name: EventName,
    rooms: Vec<Room>,
    fields: Vec<(String, Box<RawValue>)>,
    heard_at: Timestamp,
    belongs_to: Option<HospitalId>,
}

/// Why what was published is no event of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// Its name is not one of ours, or a room is not, or there is no room.
    #[error("no event or room of ours")]
    Unknown,
    /// Our events have one JSON object for a payload.
    #[error("its payload is not one JSON object")]
    Payload,
}

impl WorkerEvent {
    /// Reads what was published and heard at this time.
    ///
    /// # Errors
    /// See [`NotOurs`].
    pub fn read(
        name: &str,
        rooms: &[String],
        arguments: &[Box<RawValue>],
        heard_at: Timestamp,
    ) -> Result<Self, NotOurs> {
        let name = EventName::known(name).ok_or(NotOurs::Unknown)?;
        let rooms = distinct(rooms).or(Err(NotOurs::Unknown))?;
        if rooms.is_empty() {
            return Err(NotOurs::Unknown);
        }
        let [payload] = arguments else {
            return Err(NotOurs::Payload);
        };
        let Fields(fields) = serde_json::from_str(payload.get()).or(Err(NotOurs::Payload))?;
        Ok(Self {
            name,
            rooms,
            fields,
            heard_at,
            belongs_to: None,
        })
    }

    /// Whom it is about, where it is a patient's alert.
    pub fn patient(&self) -> Option<PatientId> {
        if self.name != EventName::PATIENT_ALERT {
            return None;
        }
        let said = self.text("patient_id").and_then(|id| PatientId::parse(&id).ok());
        said.or_else(|| {
            self.rooms.iter().find_map(|room| match room {
                Room::Patient(id) => Some(id.clone()),
                Room::Hospital(_) | Room::Triage(_) | Room::TriageQueue => None,
            })
        })
    }

    /// The hospital that it names itself.
    pub fn hospital(&self) -> Option<HospitalId> {
        let said = self.text("hospital_id").and_then(|id| HospitalId::parse(&id).ok());
        said.or_else(|| {
            self.rooms.iter().find_map(|room| match room {
                Room::Hospital(id) => Some(id.clone()),
                Room::Patient(_) | Room::Triage(_) | Room::TriageQueue => None,
            })
        })
    }

    /// The same of a patient who is known to belong to this hospital: the history is searched by it.
    #[must_use]
    pub fn of_hospital(self, belongs_to: Option<HospitalId>) -> Self {
        Self { belongs_to, ..self }
    }

    /// The event under this id.
    ///
    /// The payload is what the worker published, but for the fields that only the server sets: `event_id`, and `alert_id` and
    /// `suppressed` in alerts.
    pub fn event(&self, id: EventId) -> Event {
        let alert = self.facts();
        let (ours, ids): (&[&str], &[&str]) = if alert.is_some() {
            (&["event_id", "alert_id", "suppressed"], &["alert_id", "event_id"])
        } else {
            (&["event_id"], &["event_id"])
        };
        let mut json = String::from("{");
        for (name, value) in self.fields.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
            json.push_str(&serde_json::Value::from(name.as_str()).to_string());
            json.push(':');
            json.push_str(value.get());
            json.push(',');
        }
        let ids: Vec<String> = ids.iter().map(|name| format!("\"{name}\":\"{id}\"")).collect();
        json.push_str(&ids.join(","));
        json.push('}');
        Event {
            id,
            name: self.name.clone(),
            rooms: self.rooms.iter().map(RoomName::from).collect(),
            payload: Payload::from_json(json),
            raised_at: self.heard_at,
            alert,
        }
    }

    fn facts(&self) -> Option<AlertFacts> {
        let (scope, patient_id) = if self.name == EventName::PATIENT_ALERT {
            (AlertScope::Patient, self.patient())
        } else if self.name == EventName::HOSPITAL_ALERT {
            (AlertScope::Hospital, None)
        } else {
            return None;
        };
        let alert_type = self.text("alert_type").filter(|text| text.len() <= MAX_ALERT_TYPE);
        Some(AlertFacts {
            scope,
            alert_type: alert_type.unwrap_or_default(),
            patient_id,
            hospital_id: self.hospital().or_else(|| self.belongs_to.clone()),
            is_suppressed: false,
        })
    }

    /// A field that is text. Of several with one name, what clients will see: the last.
    fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.fields.iter().rev().find(|(field, _)| field == name)?;
        serde_json::from_str(value.get()).ok()
    }
}

impl fmt::Debug for WorkerEvent {
    /// Says what it is, not what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerEvent")
            .field("name", &self.name)
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}

/// Each room once, in order.
fn distinct(names: &[String]) -> Result<Vec<Room>, InvalidRoom> {
    let mut seen = HashSet::new();
    names
        .iter()
        .filter(|name| seen.insert(name.as_str()))
        .map(|name| name.parse())
        .collect()
}

/// An object's fields in their order, each value as it was written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01919191-9191-7191-9191-919191919191";

    fn read(name: &str, rooms: &[&str], payloads: &[&str]) -> Result<WorkerEvent, NotOurs> {
        let rooms: Vec<String> = rooms.iter().map(ToString::to_string).collect();
        let arguments: Vec<Box<RawValue>> = payloads
            .iter()
            .map(|json| RawValue::from_string((*json).to_owned()).unwrap())
            .collect();
        WorkerEvent::read(name, &rooms, &arguments, Timestamp::from_micros(7))
    }

    fn event(name: &str, rooms: &[&str], payload: &str) -> Event {
        read(name, rooms, &[payload]).unwrap().event(ID.parse().unwrap())
    }

    #[test]
    fn a_payload_stays_as_it_was_written_but_for_the_ids() {
        let payload = r#"{"z":1.50,"alert_type":"critical","event_id":"forged","big":12345678901234567890123,"suppressed":true,"a":{"x":[ 1, null ]}}"#;

        let alert = event("patient_alert", &["patient_P1"], payload);

        let expected = format!(
            r#"{{"z":1.50,"alert_type":"critical","big":12345678901234567890123,"a":{{"x":[ 1, null ]}},"alert_id":"{ID}","event_id":"{ID}"}}"#
        );
        assert_eq!(alert.payload.as_json(), expected);
        assert_eq!(alert.id.to_string(), ID);
        assert_eq!(alert.raised_at, Timestamp::from_micros(7));
    }

    #[test]
    fn an_event_that_is_no_alert_has_no_alert_id_and_no_facts() {
        let update = event(
            "risk_updated",
            &["patient_P1"],
            r#"{"alert_id":"theirs","suppressed":1}"#,
        );

        let expected = format!(r#"{{"alert_id":"theirs","suppressed":1,"event_id":"{ID}"}}"#);
        assert_eq!(update.payload.as_json(), expected);
        assert_eq!(update.alert, None);
    }

    #[test]
    fn an_id_that_is_written_with_escapes_is_replaced_as_well() {
        let update = event("risk_updated", &["patient_P1"], r#"{"event\u005fid":"forged"}"#);

        assert_eq!(update.payload.as_json(), format!(r#"{{"event_id":"{ID}"}}"#));
    }

    #[test]
    fn an_alerts_facts_come_from_its_payload_else_from_its_rooms() {
        let said = event(
            "patient_alert",
            &["patient_P1", "hospital_H1"],
            r#"{"patient_id":"P2","hospital_id":"H2","alert_type":"warning"}"#,
        );
        let unsaid = event("patient_alert", &["hospital_H1", "patient_P1"], r#"{"patient_id":2}"#);
        let of_hospital = event(
            "hospital_alert",
            &["hospital_H1"],
            r#"{"patient_id":"P1","alert_type":"info"}"#,
        );

        let facts = |event: Event| {
            let facts = event.alert.unwrap();
            let text = |id: Option<String>| id.unwrap_or_default();
            (
                facts.scope,
                facts.alert_type,
                text(facts.patient_id.map(|id| id.to_string())),
                text(facts.hospital_id.map(|id| id.to_string())),
            )
        };
        let of = |scope, alert_type: &str, patient: &str, hospital: &str| {
            (scope, alert_type.to_owned(), patient.to_owned(), hospital.to_owned())
        };
        assert_eq!(facts(said), of(AlertScope::Patient, "warning", "P2", "H2"));
        assert_eq!(facts(unsaid), of(AlertScope::Patient, "", "P1", "H1"));
        assert_eq!(facts(of_hospital), of(AlertScope::Hospital, "info", "", "H1"));
    }

    #[test]
    fn the_hospital_that_a_patient_belongs_to_fills_in() {
        let alert = read("patient_alert", &["patient_P1"], &["{}"]).unwrap();

        let known = HospitalId::parse("H9").unwrap();
        let facts = alert
            .of_hospital(Some(known.clone()))
            .event(ID.parse().unwrap())
            .alert
            .unwrap();

        assert_eq!(facts.hospital_id, Some(known));
    }

    #[test]
    fn a_room_that_is_named_twice_is_one_room() {
        let alert = event("hospital_alert", &["hospital_H1", "hospital_H2", "hospital_H1"], "{}");

        let rooms: Vec<&str> = alert.rooms.iter().map(RoomName::as_str).collect();
        assert_eq!(rooms, ["hospital_H1", "hospital_H2"]);
    }

    #[test]
    fn what_is_no_event_of_ours_says_why() {
        for (name, rooms, payloads, why) in [
            ("chat", &["patient_P1"][..], &["{}"][..], NotOurs::Unknown),
            ("patient_alert", &["ward_3"], &["{}"], NotOurs::Unknown),
            ("patient_alert", &["patient_P1", "ward_3"], &["{}"], NotOurs::Unknown),
            ("patient_alert", &[], &["{}"], NotOurs::Unknown),
            ("patient_alert", &["patient_P1"], &[], NotOurs::Payload),
            ("patient_alert", &["patient_P1"], &["{}", "{}"], NotOurs::Payload),
            ("patient_alert", &["patient_P1"], &["[{}]"], NotOurs::Payload),
            ("patient_alert", &["patient_P1"], &["null"], NotOurs::Payload),
            ("patient_alert", &["patient_P1"], &[r#"{"\ud800":1}"#], NotOurs::Payload),
        ] {
            assert_eq!(
                read(name, rooms, payloads).err(),
                Some(why),
                "{name} {rooms:?} {payloads:?}"
            );
        }
    }
}
