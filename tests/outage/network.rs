//! A network of one client: a namespace behind a link that can go down, as a tablet's does between two access points.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// A namespace and its link to the server's side. Taken away when it is dropped.
pub(super) struct Network {
    name: String,
    inside: String,
    server: Ipv4Addr,
    client: Ipv4Addr,
}

impl Network {
    /// A namespace with its link up.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}-{number}", std::process::id());
        // Sixty-four addresses of the block that is kept for tests (RFC 2544), different ones for each run.
        let block = u8::try_from((std::process::id() + u32::from(number)) % 256).unwrap();
        let (third, fourth) = (block, u8::try_from((number % 16) * 4).unwrap());
        let network = Self {
            name: format!("wardbell-{unique}"),
            inside: "tablet".to_owned(),
            server: Ipv4Addr::new(198, 18, third, fourth + 1),
            client: Ipv4Addr::new(198, 18, third, fourth + 2),
        };
        let outside = format!("wb{unique}");
        ip(&["netns", "add", &network.name]);
        ip(&[
            "link",
            "add",
            &outside,
            "type",
            "veth",
            "peer",
            "name",
            &network.inside,
            "netns",
            &network.name,
        ]);
        ip(&["addr", "add", &format!("{}/30", network.server), "dev", &outside]);
        ip(&["link", "set", &outside, "up"]);
        ip(&[
            "-n",
            &network.name,
            "addr",
            "add",
            &format!("{}/30", network.client),
            "dev",
            &network.inside,
        ]);
        ip(&["-n", &network.name, "link", "set", "lo", "up"]);
        network.up();
        network
    }

    /// The namespace's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The address at which the client reaches the server.
    pub(super) fn server(&self) -> IpAddr {
        self.server.into()
    }

    /// The client's link goes down: nothing gets through, and nobody is told.
    pub(super) fn down(&self) {
        ip(&["-n", &self.name, "link", "set", &self.inside, "down"]);
    }

    /// The link is there again, with the address of before.
    pub(super) fn up(&self) {
        ip(&["-n", &self.name, "link", "set", &self.inside, "up"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with the namespace.
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
