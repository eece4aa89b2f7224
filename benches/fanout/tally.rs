//! Who has what: every delivery is checked against bitmaps, so that losses are counted and not guessed.
//!
//! It refuses to know how anything travels.

use super::histogram::Histogram;

/// Nanoseconds since the generator began.
pub(crate) type Nanos = u64;

/// What went wrong. All of it must stay nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Answered 2xx, and a member never got it.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// Came to a member after a later alert of the same room.
    pub(crate) out_of_order: u64,
    /// Came to somebody who is not in its room, or was never posted.
    pub(crate) misrouted: u64,
    /// Answered other than 2xx, or not at all, where that may not be.
    pub(crate) refused: u64,
    /// Clients that could not connect or join, were closed, or did not get their session back.
    pub(crate) clients: u64,
}

impl Faults {
    pub(crate) fn is_none(&self) -> bool {
        self.total() == 0
    }

    fn total(&self) -> u64 {
        self.lost + self.duplicated + self.out_of_order + self.misrouted + self.refused + self.clients
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.out_of_order, "out of order"),
            (self.misrouted, "misrouted"),
            (self.refused, "refused"),
            (self.clients, "clients failed"),
        ];
        let mut is_first = true;
        for (count, what) in all.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {what}", if is_first { "" } else { ", " })?;
            is_first = false;
        }
        if is_first {
            f.write_str("nothing lost, duplicated, out of order or misrouted")?;
        }
        Ok(())
    }
}

/// What became of a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Accepted,
    /// Nothing was promised.
    Refused,
}

/// An alert.
#[derive(Debug)]
struct Post {
    room: u32,
    /// The how manieth of its room.
    number: u32,
    /// Members that lack it.
    missing: u32,
    scheduled: Nanos,
    answer: Answer,
    is_measured: bool,
}

#[derive(Debug, Default)]
struct Room {
    members: u32,
    posts: u32,
}

/// A client's place in a room, and what it has got of it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) room: u32,
    got: Vec<u64>,
    /// One past the latest alert that it has got.
    next: u32,
}

impl Seat {
    pub(crate) fn in_room(room: u32) -> Self {
        Self {
            room,
            got: Vec::new(),
            next: 0,
        }
    }

    fn has(&self, number: u32) -> bool {
        let word = self.got.get(number as usize / 64);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Takes note of an alert. `false`: it was there already.
    fn take(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.got.len() <= word {
            self.got.resize(word + 16, 0);
        }
        let is_new = self.got[word] & bit == 0;
        self.got[word] |= bit;
        is_new
    }
}

/// What was measured since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    /// From the scheduled time until a member has the alert.
    pub(crate) deliveries: Histogram,
    /// Until the last member has it.
    pub(crate) last_member: Histogram,
    /// Until the POST is answered.
    pub(crate) answers: Histogram,
    /// Until the POST was sent: what the generator itself adds.
    pub(crate) lateness: Histogram,
}

/// All posts and rooms of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rooms: Vec<Room>,
    posts: Vec<Post>,
    pub(crate) faults: Faults,
    pub(crate) measures: Measures,
    /// Whether what is posted from now on is measured.
    pub(crate) is_measuring: bool,
    /// Deliveries of what is measured, late ones to those who were away included.
    pub(crate) deliveries: u64,
    /// POSTs that were measured and answered 2xx.
    pub(crate) answers: u64,
    /// When the latest delivery or answer came.
    pub(crate) until: Nanos,
    /// Posts that some member still lacks and that were not refused.
    pub(crate) undelivered: usize,
    /// Posts without an answer.
    pub(crate) unanswered: usize,
}

impl Tally {
    pub(crate) fn of(rooms: usize) -> Self {
        let mut tally = Self::default();
        tally.rooms.resize_with(rooms, Room::default);
        tally
    }

    /// A client is in a room from now on, and counts.
    pub(crate) fn enter(&mut self, room: u32) {
        self.rooms[room as usize].members += 1;
    }

    /// An alert is going to be posted. Answers its number among all.
    pub(crate) fn post(&mut self, room: u32, scheduled: Nanos) -> u32 {
        let place = &mut self.rooms[room as usize];
        let (number, missing) = (place.posts, place.members);
        place.posts += 1;
        self.undelivered += usize::from(missing > 0);
        self.unanswered += 1;
        self.posts.push(Post {
            room,
            number,
            missing,
            scheduled,
            answer: Answer::Awaited,
            is_measured: self.is_measuring,
        });
        u32::try_from(self.posts.len() - 1).expect("fewer than four billion posts")
    }

    /// The room of an alert.
    pub(crate) fn room_of(&self, post: u32) -> u32 {
        self.posts[post as usize].room
    }

    /// It was written to the server.
    pub(crate) fn sent(&mut self, post: u32, now: Nanos) {
        let post = &self.posts[post as usize];
        if post.is_measured {
            self.measures.lateness.add(now.saturating_sub(post.scheduled));
        }
    }

    /// The server has answered.
    pub(crate) fn answered(&mut self, post: u32, is_success: bool, now: Nanos) {
        let post = &mut self.posts[post as usize];
        self.unanswered -= 1;
        if is_success {
            post.answer = Answer::Accepted;
            if post.is_measured {
                self.measures.answers.add(now.saturating_sub(post.scheduled));
                self.answers += 1;
                self.until = now;
            }
        } else {
            post.answer = Answer::Refused;
            self.undelivered -= usize::from(post.missing > 0);
            self.faults.refused += 1;
        }
    }

    /// A member that is there since `present_since` got an alert; what it missed while it was away says nothing of latency.
    pub(crate) fn delivered(&mut self, seats: &mut [Seat], post: Option<u32>, present_since: Nanos, now: Nanos) {
        let Some(post) = post.and_then(|post| self.posts.get_mut(post as usize)) else {
            self.faults.misrouted += 1;
            return;
        };
        let seat = match seats {
            [only] => Some(only).filter(|seat| seat.room == post.room),
            many => many
                .binary_search_by_key(&post.room, |seat| seat.room)
                .ok()
                .map(|index| &mut many[index]),
        };
        let Some(seat) = seat else {
            self.faults.misrouted += 1;
            return;
        };
        if !seat.take(post.number) {
            self.faults.duplicated += 1;
            return;
        }
        if post.number < seat.next {
            self.faults.out_of_order += 1;
        } else {
            seat.next = post.number + 1;
        }
        post.missing = post.missing.saturating_sub(1);
        let is_last = post.missing == 0;
        if is_last && post.answer != Answer::Refused {
            self.undelivered -= 1;
        }
        if post.is_measured {
            self.deliveries += 1;
            self.until = now;
            if present_since <= post.scheduled {
                let latency = now.saturating_sub(post.scheduled);
                self.measures.deliveries.add(latency);
                if is_last {
                    self.measures.last_member.add(latency);
                }
            }
        }
    }

    /// A client that does not count got an alert: of one of its rooms, it must be.
    pub(crate) fn overheard(&mut self, seats: &[Seat], post: Option<u32>) {
        let room = post
            .and_then(|post| self.posts.get(post as usize))
            .map(|post| post.room);
        let is_theirs = seats.iter().any(|seat| Some(seat.room) == room);
        self.faults.misrouted += u64::from(!is_theirs);
    }

    /// What these seats lack of what was answered 2xx, as `(number among all, when it was scheduled)`: the first of it.
    pub(crate) fn lacked_by(&self, seats: &[Seat]) -> Option<(usize, Nanos)> {
        self.posts.iter().enumerate().find_map(|(index, post)| {
            let seat = seats.iter().find(|seat| seat.room == post.room)?;
            let has_it = seat.has(post.number);
            (post.answer == Answer::Accepted && post.missing > 0 && !has_it).then_some((index, post.scheduled))
        })
    }

    /// Counts what never came. Called once, when nothing more is waited for.
    pub(crate) fn close(&mut self) {
        let accepted = self.posts.iter().filter(|post| post.answer == Answer::Accepted);
        self.faults.lost = accepted.map(|post| u64::from(post.missing)).sum();
    }
}
