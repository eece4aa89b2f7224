//! HTTP responses as servers write them (a length, chunks, or until the connection ends), and the requests that post alerts.

use std::fmt::Write as _;

use memchr::memmem;

/// The path that all peers serve.
const PATH: &str = "/api/alerts/patient";

/// A response that is here as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The server ends the connection after it.
    pub(crate) is_last: bool,
    /// Its length on the wire.
    pub(crate) length: usize,
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The body of chunks, and where it ends. `None`: not all of it is here.
fn read_chunks(bytes: &[u8], begin: usize) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), begin);
    loop {
        let line = memmem::find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        let end = at.checked_add(size)?;
        body.extend_from_slice(bytes.get(at..end)?);
        bytes.get(end..end + 2)?;
        at = end + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

/// The response at the beginning of `bytes`. `None`: not all of it is here.
pub(crate) fn read_response(bytes: &[u8], has_ended: bool) -> Option<Response> {
    let end = memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let begin = end + 4;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let connection = header(head, "connection").unwrap_or_default();
    let is_last = connection.eq_ignore_ascii_case("close") || head.starts_with("HTTP/1.0");
    let (body, length) = if let Some(length) = header(head, "content-length") {
        let length = begin + length.parse::<usize>().ok()?;
        (bytes.get(begin..length)?.to_vec(), length)
    } else if header(head, "transfer-encoding").is_some() {
        read_chunks(bytes, begin)?
    } else if has_ended {
        (bytes[begin..].to_vec(), bytes.len())
    } else {
        return None;
    };
    Some(Response {
        status,
        body,
        is_last,
        length,
    })
}

/// What every POST of a run has in common.
#[derive(Debug)]
pub(crate) struct PostForm {
    head: String,
    body: String,
}

impl PostForm {
    pub(crate) fn new(host: &str, token: Option<&str>) -> Self {
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        Self {
            head: format!("POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{token}"),
            body: String::new(),
        }
    }

    /// Appends the request that raises alert number `post` for the patient of a room.
    pub(crate) fn write(&mut self, post: u32, room: u32, out: &mut Vec<u8>) {
        self.body.clear();
        // As a monitor's backend would write it: about 250 bytes on the wire to each member.
        write!(
            self.body,
            r#"{{"patient_id":"P{room}","alert_type":"critical","alert_data":{{"seq":{post},"severity":"high","heart_rate":148,"spo2":86,"bp":"182/110","unit":"ICU-3","bed":"12B","message":"Heart rate above threshold for 30 s, SpO2 falling"}}}}"#
        )
        .expect("a String takes anything");
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.extend_from_slice(self.body.as_bytes());
    }
}

/// A polling client's request for what there is.
pub(crate) fn poll(host: &str, query: &str, sid: &str) -> String {
    let sid = session(sid);
    format!("GET /socket.io/?EIO=4&transport=polling&{query}{sid} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// A polling client's packets.
pub(crate) fn say(host: &str, query: &str, sid: &str, packets: &str) -> String {
    let sid = session(sid);
    format!(
        "POST /socket.io/?EIO=4&transport=polling&{query}{sid} HTTP/1.1\r\nHost: {host}\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{packets}",
        packets.len()
    )
}

fn session(sid: &str) -> String {
    if sid.is_empty() {
        String::new()
    } else {
        format!("&sid={sid}")
    }
}
