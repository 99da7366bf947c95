//! A network that can be cut: a server in a network namespace of its own, which two cables lead to. It goes away with the server.

use rustix::process::Pid;

use crate::support::process;

/// A cable between this machine and the namespace of a process: a pair of network devices.
#[derive(Debug)]
pub(crate) struct Cable {
    /// The process whose namespace has the other end.
    to: Pid,
    inner: String,
    /// The address at the other end.
    pub(crate) address: String,
}

/// Why namespaces cannot be made here, if they cannot.
pub(crate) fn refused() -> Option<String> {
    let made =
        process::command("unshare").args(["--net", "--", "ip", "link", "show", "lo"]).output();
    match made {
        Err(error) => Some(format!("unshare: {error}")),
        Ok(output) if output.status.success() && rustix::process::geteuid().is_root() => None,
        Ok(output) => Some(format!("it takes root: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

impl Cable {
    /// Lays one to the namespace of a process.
    pub(crate) fn to(process: Pid) -> Self {
        // names of devices are short, and those of others must not be met
        let name = format!("q{:08x}", rand::random::<u32>());
        let (outer, inner) = (format!("{name}a"), format!("{name}b"));
        let net = format!("10.{}.{}", rand::random_range(200..250), rand::random_range(0..255));
        let (here, there) = (format!("{net}.1/30"), format!("{net}.2/30"));
        let pid = process.as_raw_nonzero().to_string();
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &pid]);
        ip(&["addr", "add", &here, "dev", &outer]);
        ip(&["link", "set", &outer, "up"]);
        let this = Self { to: process, inner, address: format!("{net}.2") };
        this.there(&["addr", "add", &there, "dev", &this.inner]);
        this.there(&["link", "set", "lo", "up"]);
        this.mend();
        this
    }

    /// From now on nothing comes through, and nobody is told.
    pub(crate) fn cut(&self) {
        self.there(&["link", "set", &self.inner, "down"]);
    }

    /// It is whole again.
    pub(crate) fn mend(&self) {
        self.there(&["link", "set", &self.inner, "up"]);
    }

    fn there(&self, arguments: &[&str]) {
        let pid = self.to.as_raw_nonzero().to_string();
        process::run("nsenter", &[&["--net", "-t", &pid, "--", "ip"], arguments].concat());
    }
}

fn ip(arguments: &[&str]) {
    process::run("ip", arguments);
}
