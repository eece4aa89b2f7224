//! The load generator: one thread, one epoll, one read for each delivery and no allocation.
//!
//! It must cost less than the servers that it drives, else it measures itself; so nothing here is asynchronous.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};

use super::member::{Member, Phase};
use super::posters::Poster;
use super::tally::{Nanos, Tally};

/// What one read takes at most: hundreds of alerts.
const BUFFER_BYTES: usize = 256 * 1024;
/// Connections that are set up at once.
const CONNECTING_AT_ONCE: usize = 128;
/// How many failures are told in words.
const PROBLEMS_TOLD: usize = 5;
const POSTERS_FROM: u64 = 1 << 32;

/// All clients and posters of a run.
pub(crate) struct Generator {
    pub(crate) members: Vec<Member>,
    pub(crate) posters: Vec<Poster>,
    pub(crate) tally: Tally,
    /// What failed, in words.
    pub(crate) problems: Vec<String>,
    /// Members that the server closed and that came back.
    pub(crate) closed_by_server: u64,
    /// Clients that the server closes come back and take up their session.
    pub(crate) comes_back: bool,
    /// Never sleep: steadier latencies, where the core is the generator's own.
    pub(crate) spins: bool,
    epoll: Epoll,
    began: Instant,
    addrs: Vec<SocketAddr>,
    events: Vec<EpollEvent>,
    buffer: Vec<u8>,
    connecting: usize,
}

impl Generator {
    pub(crate) fn new(addrs: Vec<SocketAddr>, members: Vec<Member>, tally: Tally) -> Self {
        Self {
            members,
            posters: Vec::new(),
            tally,
            problems: Vec::new(),
            closed_by_server: 0,
            comes_back: false,
            spins: false,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll"),
            began: Instant::now(),
            addrs,
            events: vec![EpollEvent::empty(); 1024],
            buffer: vec![0; BUFFER_BYTES],
            connecting: 0,
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run takes less than centuries")
    }

    /// Members that are in all their rooms.
    pub(crate) fn present(&self) -> usize {
        self.members
            .iter()
            .filter(|member| member.phase == Phase::Present)
            .count()
    }

    /// Connects all members, a number at once, and lets them join. Answers how long that took.
    pub(crate) fn connect_all(&mut self, limit: Duration) -> Duration {
        let begun = Instant::now();
        let mut next = 0;
        while begun.elapsed() < limit && (next < self.members.len() || self.connecting > 0) {
            while self.connecting < CONNECTING_AT_ONCE && next < self.members.len() {
                self.connect(next);
                next += 1;
            }
            self.step(Duration::from_millis(5));
        }
        let took = begun.elapsed();
        let absent = self.members.len() - self.present();
        if absent > 0 {
            self.problem(format!("{absent} clients are not there after {took:.1?}"));
            self.tally.faults.clients = self.tally.faults.clients.max(absent as u64);
        }
        took
    }

    /// A member goes: one that counts without a word, to come back to what it missed; any other with a goodbye.
    pub(crate) fn part(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.is_counted() {
            member.vanish();
        } else if let Err(problem) = member.leave() {
            self.fail(index, &problem);
        }
    }

    /// Waits for members that are on their way.
    pub(crate) fn until_all_are_there(&mut self) {
        let begun = Instant::now();
        while self.connecting > 0 && begun.elapsed() < Duration::from_secs(30) {
            self.step(Duration::from_millis(5));
        }
        let absent = self.members.len() - self.present();
        if absent > 0 {
            self.problem(format!("{absent} clients did not come back"));
        }
    }

    /// Counts what never came, and says of the first few who lack something what it is.
    pub(crate) fn close(&mut self) {
        self.tally.close();
        if self.tally.faults.lost == 0 {
            return;
        }
        for index in 0..self.members.len() {
            let (seats, since) = self.members[index].seats();
            if let Some((post, scheduled)) = self.tally.lacked_by(seats) {
                let (since, scheduled) = (since as f64 / 1e9, scheduled as f64 / 1e9);
                self.problem(format!(
                    "client {index}, there since {since:.3} s, lacks alert {post}, which was due at {scheduled:.3} s"
                ));
            }
        }
    }

    /// Opens the connections that post.
    pub(crate) fn connect_posters(&mut self, posters: Vec<Poster>) {
        self.posters = posters;
        for index in 0..self.posters.len() {
            self.connect_poster(index);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && self.posters.iter().any(|poster| !poster.is_connected) {
            self.step(Duration::from_millis(5));
        }
    }

    /// Lets a member come (back).
    pub(crate) fn connect(&mut self, index: usize) {
        let addr = self.addrs[index % self.addrs.len()];
        let now = self.now();
        let member = &mut self.members[index];
        member.began = now;
        member.phase = Phase::Opening;
        self.connecting += 1;
        self.open_line(index, addr);
    }

    fn open_line(&mut self, index: usize, addr: SocketAddr) {
        match open(&self.epoll, addr, index as u64) {
            Ok(stream) => {
                self.members[index].stream = Some(stream);
                self.members[index].is_connecting = true;
            }
            Err(error) => self.fail(index, &error.to_string()),
        }
    }

    fn connect_poster(&mut self, index: usize) {
        let addr = self.posters[index].addr;
        match open(&self.epoll, addr, POSTERS_FROM | index as u64) {
            Ok(stream) => self.posters[index].stream = Some(stream),
            Err(error) => self.problem(format!("a connection for POSTs: {error}")),
        }
    }

    /// Posts an alert, scheduled for `scheduled`, through this connection.
    pub(crate) fn post(&mut self, poster: usize, room: u32, scheduled: Nanos) {
        let post = self.tally.post(room, scheduled);
        self.posters[poster].post(post);
        self.pump(poster);
    }

    fn pump(&mut self, index: usize) {
        let now = self.now();
        let poster = &mut self.posters[index];
        let was_blocked = poster.is_blocked();
        if poster.pump(now, &mut self.tally).is_err() {
            return self.end_poster(index);
        }
        let is_blocked = poster.is_blocked();
        if was_blocked != is_blocked
            && let Some(stream) = &poster.stream
        {
            await_events(&self.epoll, stream, POSTERS_FROM | index as u64, is_blocked);
        }
    }

    /// Takes what has come, and waits for it no longer than `timeout`.
    pub(crate) fn step(&mut self, timeout: Duration) {
        let timeout = if self.spins {
            EpollTimeout::ZERO
        } else {
            EpollTimeout::from(u16::try_from(timeout.as_millis()).unwrap_or(u16::MAX))
        };
        let mut events = std::mem::take(&mut self.events);
        let ready = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        for event in &events[..ready] {
            let (token, flags) = (event.data(), event.events());
            if token >= POSTERS_FROM {
                self.poster_ready((token - POSTERS_FROM) as usize, flags);
            } else {
                self.member_ready(token as usize, flags);
            }
        }
        self.events = events;
    }

    fn poster_ready(&mut self, index: usize, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLOUT) && !self.posters[index].is_connected {
            self.posters[index].is_connected = true;
            if let Some(stream) = &self.posters[index].stream {
                await_events(&self.epoll, stream, POSTERS_FROM | index as u64, false);
            }
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            let now = self.now();
            let read = self.posters[index].read(&mut self.buffer, now, &mut self.tally);
            if !matches!(read, Ok(true)) {
                return self.end_poster(index);
            }
        }
        self.pump(index);
    }

    fn end_poster(&mut self, index: usize) {
        let now = self.now();
        self.posters[index].ended(now, &mut self.tally);
        self.connect_poster(index);
    }

    fn member_ready(&mut self, index: usize, flags: EpollFlags) {
        let member = &mut self.members[index];
        let Some(stream) = &mut member.stream else { return };
        if member.is_connecting {
            if !flags.intersects(EpollFlags::EPOLLOUT | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                return;
            }
            let outcome = match stream.take_error() {
                Ok(None) => {
                    await_events(&self.epoll, stream, index as u64, false);
                    member.connected()
                }
                Ok(Some(error)) | Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = outcome {
                self.fail(index, &problem);
            }
            return;
        }
        let carried = member.carry.len();
        self.buffer[..carried].copy_from_slice(&member.carry);
        let read = match stream.read(&mut self.buffer[carried..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return self.fail(index, &error.to_string()),
            Ok(read) => read,
        };
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let was_present = member.phase == Phase::Present;
        let end = carried + read;
        let bytes = &self.buffer[..end];
        match member.read(bytes, read == 0, now, &mut self.tally) {
            Err(problem) => self.fail(index, &problem),
            Ok((done, has_ended)) => {
                member.carry.clear();
                member.carry.extend_from_slice(&bytes[done..]);
                if !was_present && member.phase == Phase::Present {
                    self.connecting -= 1;
                }
                if has_ended {
                    self.line_ended(index);
                }
            }
        }
    }

    /// A polling client goes on over another connection; a websocket is over.
    fn line_ended(&mut self, index: usize) {
        if self.members[index].survives_its_line() {
            self.open_line(index, self.addrs[index % self.addrs.len()]);
        } else if self.comes_back && self.members[index].phase == Phase::Present {
            self.closed_by_server += 1;
            self.members[index].vanish();
            self.connect(index);
        } else {
            self.fail(index, "closed by the server");
        }
    }

    fn fail(&mut self, index: usize, problem: &str) {
        let member = &mut self.members[index];
        let phase = member.phase;
        if phase != Phase::Present && phase != Phase::Away {
            self.connecting -= 1;
        }
        member.vanish();
        self.tally.faults.clients += 1;
        self.problem(format!("client {index} ({phase:?}): {problem}"));
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_TOLD {
            self.problems.push(problem);
        }
    }
}

fn open(epoll: &Epoll, addr: SocketAddr, token: u64) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Reset instead of FIN: ten thousand connections leave no TIME_WAIT to the next run.
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from(socket);
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
    epoll.add(stream.as_fd(), EpollEvent::new(flags, token))?;
    Ok(stream)
}

fn await_events(epoll: &Epoll, stream: &TcpStream, token: u64, for_writing: bool) {
    let flags = if for_writing {
        EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT
    } else {
        EpollFlags::EPOLLIN
    };
    epoll
        .modify(stream.as_fd(), &mut EpollEvent::new(flags, token))
        .expect("an open socket can be waited for");
}
