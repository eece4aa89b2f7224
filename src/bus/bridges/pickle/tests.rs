//! Pickles of Python 3.12, and what nobody's Python would write.

use proptest::prelude::*;

use super::*;

fn read(program: &[u8]) -> Outcome<String> {
    Pickle::read(program)?.to_json(10_000)
}

/// Of `pickle.dumps(…, 4)` without its first bytes.
fn run(program: &[u8]) -> Outcome<String> {
    read(&[b"\x80\x04", program].concat())
}

#[test]
fn what_python_writes_in_every_protocol_is_what_its_json_would_be() {
    let expected = r#"{"a":[1,-1,256,70000,-70000,4294967296,9223372036854775807,-9223372036854775808,18446744073709551615,255,65535],"b":[1.5],"c":true,"d":null,"e":"ä€😀\"\n","f":[],"g":[1,2],"h":[1,2,3],"i":[1,2,3,4],"j":[[]],"k":{"x":{}},"l":false,"7":"int","true":"t","null":"n"}"#;

    for pickled in [
        &b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xffM\x00\x01Jp\x11\x01\x00J\x90\xee\xfe\xff\x8a\x05\x00\x00\x00\x00\x01\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00K\xffM\xff\xffeX\x01\x00\x00\x00bq\x03G?\xf8\x00\x00\x00\x00\x00\x00\x85q\x04X\x01\x00\x00\x00cq\x05\x88X\x01\x00\x00\x00dq\x06NX\x01\x00\x00\x00eq\x07X\x0b\x00\x00\x00\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\x0aq\x08X\x01\x00\x00\x00fq\x09)X\x01\x00\x00\x00gq\x0aK\x01K\x02\x86q\x0bX\x01\x00\x00\x00hq\x0cK\x01K\x02K\x03\x87q\x0dX\x01\x00\x00\x00iq\x0e(K\x01K\x02K\x03K\x04tq\x0fX\x01\x00\x00\x00jq\x10]q\x11]q\x12aX\x01\x00\x00\x00kq\x13}q\x14X\x01\x00\x00\x00xq\x15}q\x16sX\x01\x00\x00\x00lq\x17\x89K\x07X\x03\x00\x00\x00intq\x1a\x88X\x01\x00\x00\x00tq\x1bNX\x01\x00\x00\x00nq\x1cu."[..],
        b"\x80\x04\x95\x04\x02\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xff\xff\xff\xffM\x00\x01Jp\x11\x01\x00J\x90\xee\xfe\xff\x8a\x05\x00\x00\x00\x00\x01\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00K\xffM\xff\xffe\x8c\x01b\x94G?\xf8\x00\x00\x00\x00\x00\x00\x85\x94\x8c\x01c\x94\x88\x8c\x01d\x94N\x8c\x01e\x94\x8c\x0b\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\x0a\x94\x8c\x01f\x94)\x8c\x01g\x94K\x01K\x02\x86\x94\x8c\x01h\x94K\x01K\x02K\x03\x87\x94\x8c\x01i\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01j\x94]\x94]\x94a\x8c\x01k\x94}\x94\x8c\x01x\x94}\x94s\x8c\x01l\x94\x89K\x07\x8c\x03int\x94\x88\x8c\x01t\x94N\x8c\x01n\x94u.",
    ] {
        assert_eq!(read(pickled).as_deref(), Ok(expected));
    }
}

#[test]
fn a_value_that_is_used_twice_is_written_twice() {
    // s = ["s"]; [s, s]
    let shared = b"\x95\x0e\x00\x00\x00\x00\x00\x00\x00]\x94(]\x94\x8c\x01s\x94ah\x01e.";

    assert_eq!(run(shared).as_deref(), Ok(r#"[["s"],["s"]]"#));
}

#[test]
fn what_is_no_plain_value_is_refused() {
    const NOT_PLAIN: Unreadable = malformed("a pickle of something that is no plain value");
    for (program, why) in [
        // datetime.date(2026, 1, 1), {1}, os.system, an object by its class and arguments
        (
            &b"\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94C\x04\x07\xea\x01\x01\x94\x85\x94R\x94."[..],
            NOT_PLAIN,
        ),
        (b"\x8f\x94(K\x01\x90.", NOT_PLAIN),
        (b"cos\nsystem\n\x8c\x02id\x85R.", NOT_PLAIN),
        (b"(iapp\nThing\n.", NOT_PLAIN),
        (b"}\x94\x8c\x01a\x94C\x01x\x94s.", Unreadable::Binary),
        (
            b"G\x7f\xf8\x00\x00\x00\x00\x00\x00.",
            malformed("a number that JSON does not have"),
        ),
        (
            b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.",
            malformed("a number of more than 64 bits"),
        ),
        (
            b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff.",
            malformed("a number of more than 64 bits"),
        ),
        (b"\x8c\x03\xed\xa0\x80\x94.", malformed("a text is not UTF-8")),
        (b"}]Ks.", malformed("a pickle with a rest")),
        (b"}]K\x01s.", malformed("a key is no text")),
        (b"", CUT_OFF),
        (b"N", CUT_OFF),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", CUT_OFF),
        (b"X\xff\xff\xff\xffabc", CUT_OFF),
        (b".", malformed("the stack is empty")),
        (b"NN.", malformed("a pickle with a rest")),
        (b"N.N", malformed("a pickle with a rest")),
        (b"N(a.", malformed("the stack is empty")),
        (b"e.", malformed("a mark is missing")),
        (b"N(Ne.", malformed("something is appended to what is no list")),
        (b"](NNu.", malformed("a field is set in what is no dict")),
        (b"}(Nu.", malformed("a key without a value")),
        (b"h\x07.", malformed("a value is missing")),
        (b"\x94.", malformed("the stack is empty")),
    ] {
        assert_eq!(run(program), Err(why), "{program:x?}");
    }
    assert!(read(b"(dp0\x0aVa\x0ap1\x0aI1\x0as.").is_err(), "protocol 0");
    assert!(read(b"\x80\x06N.").is_err(), "a protocol to come");
}

#[test]
fn a_value_that_contains_itself_is_refused() {
    assert_eq!(run(b"]\x94h\x00a."), Err(TOO_DEEP));
    assert_eq!(run(b"}\x94\x8c\x01a\x94h\x00s."), Err(TOO_DEEP));
}

/// `serde-pickle` 1.2 ends the process here.
#[test]
fn a_million_brackets_cost_nothing() {
    let deep = [&b"\x80\x04"[..], &vec![b']'; 500_000], &vec![b'a'; 499_999], b"."].concat();

    assert_eq!(read(&deep), Err(TOO_DEEP));
}

/// Each list holds the one before it twice.
#[test]
fn a_billion_laughs_are_cut_short() {
    let mut program = b"]\x94".to_vec();
    for place in 0..90_u8 {
        program.extend([b']', 0x94, b'(', b'h', place, b'h', place, b'e']);
    }
    // What is still on the stack becomes one list.
    let bomb = [b"(", &program[..], b"t."].concat();

    assert_eq!(run(&bomb), Err(Unreadable::TooLarge));
}

proptest! {
    #[test]
    fn whatever_comes_in_what_comes_out_is_json(
        program in proptest::collection::vec(
            prop_oneof![
                any::<u8>(),
                proptest::sample::select(&b"N(])}aestu\x85\x86\x87\x88\x94h\x00\x01K."[..]),
            ],
            0..200,
        ),
    ) {
        if let Ok(json) = run(&program) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        }
    }
}
