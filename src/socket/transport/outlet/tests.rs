//! The outlet on real sockets: what arrives, and in which order.

use std::cell::Cell;
use std::future::poll_fn;

use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::socket::recovery::shim;

/// A server's end with little room, and the client's.
async fn connection() -> (Arc<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    SockRef::from(&server).set_send_buffer_size(4_096).unwrap();
    SockRef::from(&client).set_recv_buffer_size(4_096).unwrap();
    server.writable().await.unwrap();
    (Arc::new(server), client)
}

fn frame(text: &str) -> Bytes {
    let mut frame = Vec::new();
    shim::append_text_frame(text.as_bytes(), &mut frame);
    Bytes::from(frame)
}

fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, length, rest @ ..] = bytes {
        let (length, rest) = match *length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            short => (usize::from(short), rest),
        };
        texts.push(String::from_utf8(rest[..length].to_vec()).unwrap());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "whole frames alone");
    texts
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Stage(usize),
    Flush,
    Library(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_usize..3_000).prop_map(Step::Push),
        2 => (1_usize..3_000).prop_map(Step::Stage),
        1 => Just(Step::Flush),
        2 => (1_usize..9_000).prop_map(Step::Library),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// However little the peer takes at once, frames of events arrive whole and in order, and so do the library's.
    #[test]
    fn frames_of_both_arrive_whole_and_each_in_their_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, mut client) = connection().await;
            let outlet = Arc::new(Outlet::closed());
            outlet.attach(server, true);
            outlet.connected();
            let reading = tokio::spawn(async move {
                let mut all = Vec::new();
                client.read_to_end(&mut all).await.unwrap();
                all
            });
            let (mut events, mut library) = (Vec::new(), Vec::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(length) | Step::Stage(length) => {
                        let text = format!("e{n:04}{}", "x".repeat(length));
                        let frame = frame(&text);
                        events.push(text);
                        if matches!(step, Step::Push(_)) {
                            outlet.push(&frame).unwrap();
                        } else {
                            outlet.stage(&frame);
                        }
                    }
                    Step::Flush => drop(outlet.flush().unwrap()),
                    Step::Library(length) => {
                        let text = format!("l{n:04}{}", "x".repeat(length));
                        let bytes = frame(&text);
                        library.push(text);
                        let mut rest = &bytes[..];
                        while !rest.is_empty() {
                            let n = poll_fn(|cx| outlet.poll_write(cx, rest, |_| ())).await.unwrap();
                            rest = &rest[n..];
                        }
                    }
                }
            }
            while !outlet.is_empty() {
                if let Left::Blocked { .. } = outlet.flush().unwrap().left {
                    outlet.drain(|_| ()).await.unwrap();
                }
            }
            outlet.detach();
            let texts = frames(&reading.await.unwrap());
            let (of_events, of_library): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| text.starts_with('e'));
            assert_eq!(of_events, events);
            assert_eq!(of_library, library);
        });
    }
}

#[tokio::test]
async fn events_wait_for_connect_and_follow_it() {
    let (server, mut client) = connection().await;
    let outlet = Outlet::closed();
    assert_eq!(outlet.push(&frame("too early")).unwrap(), Sent::Library);
    outlet.attach(server, true);

    assert_eq!(outlet.push(&frame("first")).unwrap(), Sent::Waiting);
    assert_eq!(outlet.stage(&frame("second")), Staged::Behind);
    let connect = frame("40");
    poll_fn(|cx| outlet.poll_write(cx, &connect, |_| ())).await.unwrap();
    outlet.connected();
    assert_eq!(outlet.flush().unwrap().left, Left::Nothing);
    assert_eq!(outlet.push(&frame("third")).unwrap(), Sent::Taken);
    outlet.detach();

    assert_eq!(outlet.push(&frame("too late")).unwrap(), Sent::Gone);
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(frames(&all), ["40", "first", "second", "third"]);
}

/// A library that takes what it is asked to send, or does not.
#[derive(Default)]
struct FakeLibrary {
    is_closed: bool,
    still_polls: bool,
    sent: Cell<Vec<&'static str>>,
}

impl FakeLibrary {
    fn send(&self, what: &'static str) -> bool {
        let mut sent = self.sent.take();
        sent.extend((!self.is_closed).then_some(what));
        self.sent.set(sent);
        !self.is_closed
    }
}

impl ByLibrary for FakeLibrary {
    fn send_event(&self) -> bool {
        self.send("event")
    }

    fn send_fence(&self) -> bool {
        self.send("fence")
    }

    fn has_changed_over(&self) -> bool {
        !self.still_polls
    }
}

fn fence() -> Bytes {
    frame(&format!("42[\"{}\"]", FENCE.name))
}

#[tokio::test]
async fn one_that_polls_is_told_by_the_library_and_one_that_has_changed_over_behind_a_fence() {
    let (server, mut client) = connection().await;
    let outlet = Outlet::closed();
    let (polling, changed) = (
        FakeLibrary {
            still_polls: true,
            ..FakeLibrary::default()
        },
        FakeLibrary::default(),
    );
    assert_eq!(outlet.tell(&frame("a"), &changed).unwrap(), Sent::Library, "it polls");
    outlet.attach(server, false);
    assert_eq!(outlet.tell(&frame("b"), &polling).unwrap(), Sent::Library, "it tries");
    assert_eq!(outlet.without_fences(&fence()), None, "nobody handed one over");

    assert_eq!(outlet.tell(&frame("c"), &changed).unwrap(), Sent::Waiting);
    assert_eq!(outlet.tell(&frame("d"), &changed).unwrap(), Sent::Waiting);
    assert_eq!(outlet.flush().unwrap().left, Left::Held);
    assert_eq!(
        (polling.sent.take(), changed.sent.take()),
        (vec!["event"], vec!["event", "fence"])
    );

    let (before, after) = (frame("b"), frame("2"));
    assert_eq!(outlet.without_fences(&before), Some((before.to_vec(), 0)));
    let with_fence = [&before[..], &fence(), &after].concat();
    assert_eq!(outlet.without_fences(&with_fence), Some(([before, after].concat(), 1)));
    outlet.fences_passed(1);
    assert_eq!(outlet.flush().unwrap().left, Left::Nothing);
    assert_eq!(outlet.push(&frame("e")).unwrap(), Sent::Taken);
    outlet.detach();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(frames(&all), ["c", "d", "e"]);
}

#[tokio::test]
async fn a_fence_that_the_library_does_not_take_holds_nothing_up() {
    let (server, _client) = connection().await;
    let outlet = Outlet::closed();
    outlet.attach(server, false);
    let closed = FakeLibrary {
        is_closed: true,
        ..FakeLibrary::default()
    };

    assert_eq!(outlet.tell(&frame("for nobody"), &closed).unwrap(), Sent::Gone);

    assert_eq!(
        outlet.tell(&frame("event"), &FakeLibrary::default()).unwrap(),
        Sent::Waiting
    );
    outlet.fences_passed(1);
    assert_eq!(outlet.flush().unwrap().left, Left::Nothing);
}

#[tokio::test]
async fn who_joins_once_more_is_told_behind_the_connect_that_the_library_has() {
    let (server, mut client) = connection().await;
    let outlet = Outlet::closed();
    outlet.attach(server, true);
    outlet.connected();
    assert_eq!(outlet.push(&frame("to the first")).unwrap(), Sent::Taken);

    outlet.rejoin();
    assert_eq!(outlet.push(&frame("to the second")).unwrap(), Sent::Library);
    let library = FakeLibrary::default();
    assert_eq!(outlet.tell(&frame("to the second"), &library).unwrap(), Sent::Waiting);
    assert_eq!(library.sent.take(), ["fence"]);
    let connect = frame("40");
    poll_fn(|cx| outlet.poll_write(cx, &connect, |_| ())).await.unwrap();
    outlet.fences_passed(1);
    assert_eq!(outlet.flush().unwrap().left, Left::Nothing);
    outlet.detach();

    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(frames(&all), ["to the first", "40", "to the second"]);
}

/// Pushes until nothing more is taken; the texts.
fn fill(outlet: &Outlet) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = format!("{:04}{}", texts.len(), "x".repeat(2_000));
        let sent = outlet.push(&frame(&text)).unwrap();
        texts.push(text);
        if sent == Sent::Waiting {
            return texts;
        }
    }
}

#[tokio::test]
async fn the_library_waits_for_what_waited_before_it_and_for_nothing_that_came_later() {
    let (server, mut client) = connection().await;
    let outlet = Arc::new(Outlet::closed());
    outlet.attach(server, true);
    outlet.connected();
    let mut texts = fill(&outlet);
    let ping = frame("2");
    let is_blocked = poll_fn(|cx| Poll::Ready(outlet.poll_write(cx, &ping, |_| ()).is_pending())).await;
    assert!(is_blocked);
    outlet.push(&frame("later")).unwrap();

    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        all
    });
    poll_fn(|cx| outlet.poll_write(cx, &ping, |_| ())).await.unwrap();
    while let Left::Blocked { .. } = outlet.flush().unwrap().left {
        outlet.drain(|_| ()).await.unwrap();
    }
    outlet.detach();

    texts.extend(["2".to_owned(), "later".to_owned()]);
    assert_eq!(frames(&reading.await.unwrap()), texts);
}

#[tokio::test]
async fn what_waits_is_nobody_s_after_a_goodbye_but_what_has_begun_ends() {
    let (server, mut client) = connection().await;
    let outlet = Outlet::closed();
    outlet.attach(server, true);
    outlet.connected();
    let mut texts = fill(&outlet);
    let has_begun = lock(&outlet.0).has_begun;
    if !has_begun {
        texts.pop();
    }
    outlet.push(&frame("never told")).unwrap();

    outlet.forget();

    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        all
    });
    let pong = frame("3");
    poll_fn(|cx| outlet.poll_write(cx, &pong, |_| ())).await.unwrap();
    assert_eq!(outlet.waiting(), Some((0, 0)));
    outlet.detach();
    texts.push("3".to_owned());
    assert_eq!(frames(&reading.await.unwrap()), texts);
}
