//! Who is told to be there, as windows open, close and fall silent on several nodes.

use super::*;

const GRACE: Duration = Duration::from_secs(5);
const SETTLING: Duration = Duration::from_millis(100);

struct Stage {
    board: Board,
    begun: Instant,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn socket(node: &str, key: &str) -> SocketKey {
    SocketKey {
        node: node.to_owned(),
        key: key.to_owned(),
    }
}

fn entry(user: &str) -> Entry {
    Entry {
        tenant: tenant("a"),
        user: UserId::parse(user).unwrap(),
        name: format!("Dr. {user}"),
        status: Status::Online,
        said: 0,
        seen_at: at(0),
        viewing: BTreeMap::new(),
    }
}

fn viewing(user: &str, patients: &[&str]) -> Entry {
    let since = |patient: &&str| (PatientId::parse(patient).unwrap(), at(1));
    Entry {
        viewing: patients.iter().map(since).collect(),
        ..entry(user)
    }
}

fn says(user: &str, status: Status, said: u64) -> Entry {
    Entry {
        status,
        said,
        ..entry(user)
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            board: Board::new(GRACE, SETTLING),
            begun: Instant::now(),
        }
    }

    fn put(&mut self, key: &str, entry: Entry, after: Duration) -> Vec<String> {
        shown(self.board.put(socket("", key), entry, self.begun + after))
    }

    fn remove(&mut self, key: &str, after: Duration) -> Vec<String> {
        shown(self.board.remove(&socket("", key), at(9), self.begun + after))
    }

    fn tick(&mut self, after: Duration) -> Vec<String> {
        shown(self.board.tick(self.begun + after))
    }

    fn assert_forgotten(&self) {
        assert!(self.board.tenants.is_empty() && self.board.due.is_empty() && self.board.sockets.is_empty());
    }
}

fn shown(news: Vec<Announcement>) -> Vec<String> {
    let show = |Announcement { tenant, except, news }: Announcement| {
        let (what, who) = match &news {
            News::Online(one) => ("online", one.user.to_string()),
            News::Offline(one) => ("offline", one.user.to_string()),
            News::Status(one) => (
                if one.status == Status::Away { "away" } else { "back" },
                one.user.to_string(),
            ),
            News::Viewing(viewer) => ("views", format!("{} {}", viewer.user, viewer.patient)),
            News::ViewingEnded(viewer) => ("left", format!("{} {}", viewer.user, viewer.patient)),
        };
        let except = except
            .map(|socket| format!(" but {}{}", socket.node, socket.key))
            .unwrap_or_default();
        format!("{tenant}: {what} {who}{except}")
    };
    news.into_iter().map(show).collect()
}

#[test]
fn the_first_socket_comes_and_the_last_one_goes_after_the_grace() {
    let mut stage = Stage::new();

    assert_eq!(stage.put("1", entry("u"), Duration::ZERO), ["a: online u but 1"]);
    assert!(stage.put("2", entry("u"), Duration::ZERO).is_empty());
    assert!(stage.remove("1", Duration::ZERO).is_empty());
    assert!(stage.tick(2 * GRACE).is_empty(), "the other window is open");
    assert!(stage.remove("2", 2 * GRACE).is_empty());
    assert!(stage.tick(2 * GRACE + SETTLING).is_empty());
    assert_eq!(stage.tick(3 * GRACE), ["a: offline u"]);
    stage.assert_forgotten();
}

#[test]
fn a_reload_does_not_flap() {
    let mut stage = Stage::new();
    stage.put("1", viewing("u", &["P1"]), Duration::ZERO);
    stage.tick(SETTLING);

    stage.remove("1", GRACE);
    assert!(stage.tick(GRACE + SETTLING).is_empty());
    assert!(stage.put("2", viewing("u", &["P1"]), GRACE + SETTLING).is_empty());

    assert!(stage.tick(9 * GRACE).is_empty());
    assert_eq!(stage.board.people(&tenant("a")).len(), 1);
    assert_eq!(stage.board.viewers(&tenant("a"), None).len(), 1);
}

#[test]
fn a_change_of_viewing_is_told_once_it_has_stood() {
    let mut stage = Stage::new();
    stage.put("1", entry("u"), Duration::ZERO);
    for patients in [&["P1"][..], &[], &["P1"]] {
        assert!(stage.put("1", viewing("u", patients), Duration::ZERO).is_empty());
    }

    assert_eq!(stage.tick(SETTLING), ["a: views u P1 but 1"]);
    stage.put("1", entry("u"), SETTLING);
    stage.put("1", viewing("u", &["P1"]), SETTLING);
    assert!(stage.tick(3 * SETTLING).is_empty(), "it ended and began in one moment");
    stage.put("1", entry("u"), 3 * SETTLING);
    assert_eq!(stage.tick(4 * SETTLING), ["a: left u P1 but 1"]);
    assert!(stage.board.viewers(&tenant("a"), None).is_empty());
}

#[test]
fn a_patient_is_viewed_as_long_as_one_window_does() {
    let mut stage = Stage::new();
    stage.put("1", viewing("u", &["P1"]), Duration::ZERO);
    stage.put("2", viewing("u", &["P1"]), Duration::ZERO);
    stage.tick(SETTLING);

    stage.put("1", entry("u"), SETTLING);
    stage.remove("2", SETTLING);

    assert!(stage.tick(GRACE).is_empty());
    assert_eq!(
        stage.tick(GRACE + SETTLING),
        ["a: left u P1 but 2", "a: offline u"][..1]
    );
}

#[test]
fn somebody_is_away_when_all_their_windows_are() {
    let mut stage = Stage::new();
    stage.put("1", entry("u"), Duration::ZERO);
    stage.put("2", entry("u"), Duration::ZERO);

    assert!(stage.put("1", says("u", Status::Away, 1), Duration::ZERO).is_empty());
    assert_eq!(
        stage.put("2", says("u", Status::Away, 1), Duration::ZERO),
        ["a: away u but 2"]
    );
    assert_eq!(
        stage.put("1", says("u", Status::Online, 2), Duration::ZERO),
        ["a: back u but 1"]
    );
    assert_eq!(stage.remove("1", Duration::ZERO), ["a: away u"]);
}

#[test]
fn a_node_that_dies_takes_its_sockets_with_it() {
    let mut stage = Stage::new();
    let share = BTreeMap::from([("x".to_owned(), viewing("u", &["P1"])), ("y".to_owned(), entry("v"))]);
    let news = stage.board.replace("n2", share, at(0), stage.begun);
    assert_eq!(shown(news), ["a: online u but n2x", "a: online v but n2y"]);
    stage.put("1", entry("v"), Duration::ZERO);
    stage.tick(SETTLING);

    let news = stage.board.replace("n2", BTreeMap::new(), at(1), stage.begun);

    assert!(news.is_empty());
    let mut gone = stage.tick(GRACE);
    gone.sort();
    assert_eq!(gone, ["a: left u P1 but n2x", "a: offline u"]);
    assert_eq!(stage.board.people(&tenant("a")).len(), 1);
}

#[test]
fn tenants_do_not_see_each_other() {
    let mut stage = Stage::new();
    let foreign = Entry {
        tenant: tenant("b"),
        ..viewing("u", &["P1"])
    };
    stage.put("1", viewing("u", &["P1"]), Duration::ZERO);

    let news = stage.put("2", foreign, Duration::ZERO);

    assert_eq!(
        news,
        ["b: online u but 2"],
        "the same user id in another tenant is somebody else"
    );
    assert_eq!(stage.tick(SETTLING), ["a: views u P1 but 1", "b: views u P1 but 2"]);
    assert_eq!(stage.board.people(&tenant("a")).len(), 1);
    assert!(stage.board.people(&tenant("c")).is_empty());
}
