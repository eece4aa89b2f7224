//! A TCP proxy that a test can cut: the network between a client and the server.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards to one server for as long as it lives.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    /// Each change ends the connections of before. Whether new ones are let through.
    is_open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (is_open, watched) = watch::channel(true);
        let accepting = tokio::spawn(accept(listener, target, watched));
        Self {
            addr,
            is_open,
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

async fn accept(listener: TcpListener, target: SocketAddr, is_open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut is_open = is_open.clone();
        if !*is_open.borrow_and_update() {
            drop(client);
            continue;
        }
        tokio::spawn(async move {
            tokio::select! {
                () = forward(client, target) => {}
                _ = is_open.changed() => {}
            }
        });
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        // How it ended is the two ends' business.
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    }
}
