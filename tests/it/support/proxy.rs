//! TCP proxies: the network between two programs, that a test can cut, and what stands in front of several nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards to one server for as long as it lives.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    /// Each change ends the connections of before. Whether new ones are let through.
    is_open: watch::Sender<bool>,
    targets: Arc<Targets>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        Self::to_first_of(vec![target]).await
    }

    /// A proxy in front of several servers, as a client with a place at one of them sees it: it stays with the first as long
    /// as that takes connections, then goes on to the next that does, and stays there.
    pub(crate) async fn to_first_of(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (is_open, watched) = watch::channel(true);
        let targets = Arc::new(Targets {
            all: targets,
            chosen: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&targets), watched));
        Self {
            addr,
            is_open,
            targets,
            accepting,
        }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends all connections at once, with no goodbye in their protocol, and refuses new ones until [`restore`](Self::restore).
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Ends all connections at once, and has those that follow go to the next server.
    pub(crate) fn go_on_to_the_next(&self) {
        let chosen = self.targets.chosen.load(Ordering::Relaxed);
        let next = (chosen + 1) % self.targets.all.len();
        self.targets.chosen.store(next, Ordering::Relaxed);
        self.cut();
        self.restore();
    }

    /// Lets connections through again.
    pub(crate) fn restore(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Debug)]
struct Targets {
    all: Vec<SocketAddr>,
    chosen: AtomicUsize,
}

impl Targets {
    /// A connection to the one that is chosen; another is chosen where that refuses.
    async fn connect(&self) -> Option<TcpStream> {
        let first = self.chosen.load(Ordering::Relaxed);
        for step in 0..self.all.len() {
            let index = (first + step) % self.all.len();
            if let Ok(server) = TcpStream::connect(self.all[index]).await {
                self.chosen.store(index, Ordering::Relaxed);
                return Some(server);
            }
        }
        None
    }
}

async fn accept(listener: TcpListener, targets: Arc<Targets>, is_open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut is_open = is_open.clone();
        if !*is_open.borrow_and_update() {
            drop(client);
            continue;
        }
        let targets = Arc::clone(&targets);
        tokio::spawn(async move {
            tokio::select! {
                () = forward(client, &targets) => {}
                _ = is_open.changed() => {}
            }
        });
    }
}

async fn forward(mut client: TcpStream, targets: &Targets) {
    if let Some(mut server) = targets.connect().await {
        // How it ended is the two ends' business.
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    }
}
