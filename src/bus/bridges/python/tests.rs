//! Messages of python-socketio 5.10.0 and 5.18.1, and of what lies between.

use super::*;

fn read(message: &[u8]) -> Result<Published, Unreadable> {
    read_as(message, Dialect::Auto)
}

fn read_as(message: &[u8], dialect: Dialect) -> Result<Published, Unreadable> {
    super::read(message, dialect, 10_000)
}

fn arguments(message: &[u8], dialect: Dialect) -> Vec<String> {
    let published = read_as(message, dialect).unwrap();
    published
        .arguments
        .iter()
        .map(|argument| argument.get().to_owned())
        .collect()
}

/// A JSON message with these fields beside the method and the event.
fn json(fields: &str) -> Vec<u8> {
    format!(r#"{{"method":"emit","event":"e"{fields}}}"#).into_bytes()
}

const PICKLED: &[u8] = b"\x80\x04\x95\xcb\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05event\x94\x8c\x0dpatient_alert\x94\x8c\x04data\x94}\x94(\x8c\x0apatient_id\x94\x8c\x02P1\x94\x8c\x0aalert_type\x94\x8c\x08critical\x94u\x8c\x09namespace\x94\x8c\x01/\x94\x8c\x04room\x94\x8c\x0apatient_P1\x94\x8c\x08skip_sid\x94N\x8c\x08callback\x94N\x8c\x07host_id\x94\x8c 39f2d35890ea4ce593a57495ffe65795\x94u.";
const PICKLED_TUPLE: &[u8] = b"\x80\x04\x95\xb1\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05event\x94\x8c\x0dpatient_alert\x94\x8c\x04data\x94\x8c\x01a\x94}\x94\x8c\x01b\x94K\x01s\x86\x94\x8c\x09namespace\x94\x8c\x01/\x94\x8c\x04room\x94]\x94(\x8c\x02r1\x94\x8c\x02r2\x94e\x8c\x08skip_sid\x94\x8c\x02s1\x94\x8c\x08callback\x94N\x8c\x07host_id\x94\x8c 39f2d35890ea4ce593a57495ffe65795\x94u.";
const PICKLED_LIST: &[u8] = b"\x80\x04\x95\xaa\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05event\x94\x8c\x0dpatient_alert\x94\x8c\x04data\x94]\x94(K\x01K\x02e\x8c\x09namespace\x94\x8c\x01/\x94\x8c\x04room\x94]\x94(\x8c\x02r1\x94\x8c\x02r2\x94e\x8c\x08skip_sid\x94\x8c\x02s1\x94\x8c\x08callback\x94N\x8c\x07host_id\x94\x8c 39f2d35890ea4ce593a57495ffe65795\x94u.";

#[test]
fn a_pickled_dict_is_one_argument() {
    let published = read(PICKLED).unwrap();

    assert_eq!(published.event, "patient_alert");
    assert_eq!(published.rooms, ["patient_P1"]);
    assert!(published.except.is_empty());
    assert_eq!(
        arguments(PICKLED, Dialect::Auto),
        [r#"{"patient_id":"P1","alert_type":"critical"}"#]
    );
}

#[test]
fn a_pickled_tuple_is_several_arguments_and_a_pickled_list_is_one() {
    for dialect in [Dialect::Auto, Dialect::Arguments, Dialect::Raw] {
        assert_eq!(arguments(PICKLED_TUPLE, dialect), [r#""a""#, r#"{"b":1}"#]);
        assert_eq!(arguments(PICKLED_LIST, dialect), ["[1,2]"]);
    }
    let published = read(PICKLED_TUPLE).unwrap();
    assert_eq!(published.rooms, ["r1", "r2"]);
    assert_eq!(published.except, ["s1"]);
}

#[test]
fn the_newest_json_is_read_as_captured() {
    let captured = br#"{"method":"emit","event":"patient_alert","data":[{"patient_id":"P1","alert_type":"critical"}],"binary":false,"namespace":"/","room":"patient_P1","skip_sid":null,"callback":null,"host_id":"39f2d358"}"#;

    let published = read(captured).unwrap();

    assert_eq!(published.rooms, ["patient_P1"]);
    assert_eq!(
        arguments(captured, Dialect::Auto),
        [r#"{"patient_id":"P1","alert_type":"critical"}"#]
    );
}

#[test]
fn a_list_in_json_is_read_as_the_dialect_says() {
    let (with, without) = (json(r#","data":[1,[2]],"binary":false"#), json(r#","data":[1,[2]]"#));

    assert_eq!(arguments(&with, Dialect::Auto), ["1", "[2]"]);
    assert_eq!(arguments(&without, Dialect::Auto), ["[1,[2]]"]);
    for message in [with, without] {
        assert_eq!(arguments(&message, Dialect::Arguments), ["1", "[2]"]);
        assert_eq!(arguments(&message, Dialect::Raw), ["[1,[2]]"]);
    }
    let object = json(r#","data":{"a":1.50},"binary":false"#);
    assert_eq!(arguments(&object, Dialect::Arguments), [r#"{"a":1.50}"#]);
}

#[test]
fn no_data_is_no_argument() {
    for message in [
        json(""),
        json(r#","data":null"#),
        json(r#","data":[],"binary":false"#),
        json(r#","data":[null],"binary":false"#),
    ] {
        assert!(arguments(&message, Dialect::Auto).is_empty());
    }
    assert_eq!(
        arguments(&json(r#","data":[null,null],"binary":false"#), Dialect::Auto),
        ["null", "null"]
    );
}

#[test]
fn rooms_and_those_left_out_are_none_one_or_several() {
    for (room, expected) in [
        ("null", &[][..]),
        (r#""r1""#, &["r1"]),
        (r#"["r1","r2"]"#, &["r1", "r2"]),
        ("[]", &[]),
    ] {
        let published = read(&json(&format!(r#","room":{room},"skip_sid":{room}"#))).unwrap();
        assert_eq!(published.rooms, expected);
        assert_eq!(published.except, expected);
    }
}

#[test]
fn what_is_not_for_us_is_told_apart_from_what_nobody_can_read() {
    for (message, why) in [
        (
            &br#"{"method":"callback"}"#[..],
            Unreadable::Foreign("a method other than emit"),
        ),
        (
            br#"{"method":"disconnect","sid":"x"}"#,
            Unreadable::Foreign("a method other than emit"),
        ),
        (
            br#"{"method":"emit","event":"e","namespace":"/admin"}"#,
            Unreadable::Foreign("a namespace other than /"),
        ),
        (
            br#"{"method":"emit","event":"e","data":[[{"_placeholder":true,"num":0}],"AQI="],"binary":true}"#,
            Unreadable::Binary,
        ),
        (br#"{"method":"emit"}"#, Unreadable::Malformed("no event")),
        (
            br#"{"method":"emit","event":5}"#,
            Unreadable::Malformed("no message of a Redis manager"),
        ),
        (
            br#"{"method":"emit","event":"e","room":5}"#,
            Unreadable::Malformed("no message of a Redis manager"),
        ),
        (
            br#"{"method":"emit","event":"e","data":NaN}"#,
            Unreadable::Malformed("no message of a Redis manager"),
        ),
        (b"[]", Unreadable::Malformed("no message of a Redis manager")),
        (b"", Unreadable::Malformed("no message of a Redis manager")),
        (b"\xff", Unreadable::Malformed("neither pickle nor JSON")),
        (b"\x80\x04N.", Unreadable::Malformed("no message of a Redis manager")),
    ] {
        assert_eq!(read(message).err(), Some(why), "{}", String::from_utf8_lossy(message));
    }
}

#[test]
fn a_payload_that_nests_too_deep_for_clients_is_refused() {
    let deep = format!(r#","data":{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));

    assert_eq!(
        super::read(&json(&deep), Dialect::Auto, 1_000_000).err(),
        Some(super::super::json::TOO_DEEP)
    );
}
