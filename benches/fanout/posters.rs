//! Connections that post alerts. A room's alerts all take the same one, so that their order means something.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::http::{self, PostForm};
use super::tally::{Nanos, Tally};

/// A connection for POSTs.
#[derive(Debug)]
pub(crate) struct Poster {
    pub(crate) addr: SocketAddr,
    pub(crate) stream: Option<TcpStream>,
    pub(crate) is_connected: bool,
    form: PostForm,
    carry: Vec<u8>,
    /// Written in part.
    out: Vec<u8>,
    /// Sent and not answered.
    in_flight: VecDeque<u32>,
    waiting: VecDeque<u32>,
    pipeline: usize,
}

impl Poster {
    pub(crate) fn new(addr: SocketAddr, token: Option<&str>, pipeline: usize) -> Self {
        Self {
            addr,
            stream: None,
            is_connected: false,
            form: PostForm::new(&addr.to_string(), token),
            carry: Vec::new(),
            out: Vec::new(),
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            pipeline,
        }
    }

    /// Whether one more may be posted at once.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() + self.waiting.len() < self.pipeline
    }

    /// Posts this alert as soon as those before it allow.
    pub(crate) fn post(&mut self, post: u32) {
        self.waiting.push_back(post);
    }

    /// Whether it waits to write.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.is_connected || !self.out.is_empty()
    }

    /// Writes what may be written.
    pub(crate) fn pump(&mut self, now: Nanos, tally: &mut Tally) -> io::Result<()> {
        if !self.is_connected {
            return Ok(());
        }
        while self.in_flight.len() < self.pipeline
            && let Some(post) = self.waiting.pop_front()
        {
            self.form.write(post, tally.room_of(post), &mut self.out);
            self.in_flight.push_back(post);
            tally.sent(post, now);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while !self.out.is_empty() {
            match stream.write(&self.out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads answers. `false`: the server ends the connection.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now: Nanos, tally: &mut Tally) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let read = match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            read => read?,
        };
        self.carry.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        let mut is_open = read > 0;
        while let Some(response) = http::read_response(&self.carry[at..], read == 0) {
            at += response.length;
            let Some(post) = self.in_flight.pop_front() else {
                return Err(io::Error::other("an answer to nothing"));
            };
            tally.answered(post, (200..300).contains(&response.status), now);
            if response.is_last {
                is_open = false;
                break;
            }
        }
        self.carry.drain(..at);
        Ok(is_open)
    }

    /// The connection has ended: what it has not answered may have happened or not, and nothing was promised.
    pub(crate) fn ended(&mut self, now: Nanos, tally: &mut Tally) {
        self.stream = None;
        self.is_connected = false;
        self.carry.clear();
        self.out.clear();
        for post in self.in_flight.drain(..) {
            tally.answered(post, false, now);
        }
    }
}
