//! One connection: sends a request, reads its answer, keeps alive.

use std::io;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::net::TcpStream;

/// A connection and what goes over it.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    token: Token,
    stream: TcpStream,
    /// The request, patched for each turn.
    pub request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    /// Whether an answer is owed.
    busy: bool,
    /// Whether it must be made anew before it is used again.
    gone: bool,
}

/// How a turn went on.
#[derive(Debug)]
pub enum Turn {
    /// Nothing is complete yet.
    Waits,
    /// The answer is here: its status, and whether the server closes.
    Answered { status: u16, closes: bool },
    /// The connection is gone.
    Broken,
}

impl Link {
    /// Connects.
    pub fn open(
        address: SocketAddr,
        token: Token,
        request: Vec<u8>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let stream = connect(address, token, registry)?;
        let (sent, answer, busy, gone) = (0, Vec::new(), false, false);
        Ok(Self { address, token, stream, request, sent, answer, busy, gone })
    }

    /// Forgets what is owed; the next request goes over a new connection. Not at once: a server that is gone would be asked
    /// without end.
    pub fn let_go(&mut self) {
        (self.busy, self.gone) = (false, true);
    }

    /// Sends the request.
    pub fn begin(&mut self, registry: &Registry) -> Turn {
        if self.gone {
            // dropping the old stream takes it out of the poll
            match connect(self.address, self.token, registry) {
                Ok(stream) => self.stream = stream,
                Err(_) => return Turn::Broken,
            }
            self.gone = false;
        }
        (self.busy, self.sent) = (true, 0);
        self.answer.clear();
        self.write()
    }

    /// The poll says that it can be read or written.
    pub fn go_on(&mut self, buffer: &mut [u8]) -> Turn {
        if self.gone {
            return Turn::Waits;
        }
        if let Turn::Broken = self.write() {
            return Turn::Broken;
        }
        self.read(buffer)
    }

    fn write(&mut self) -> Turn {
        while self.busy && self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(0) => return Turn::Broken,
                Ok(written) => self.sent += written,
                Err(error) if waits(&error) => return Turn::Waits,
                Err(_) => return Turn::Broken,
            }
        }
        Turn::Waits
    }

    fn read(&mut self, buffer: &mut [u8]) -> Turn {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Turn::Broken,
                Ok(length) => {
                    self.answer.extend_from_slice(&buffer[..length]);
                    if let Some((status, closes)) = whole(&self.answer) {
                        self.busy = false;
                        return Turn::Answered { status, closes };
                    }
                    // a read that did not fill the buffer took all there is
                    if length < buffer.len() {
                        return Turn::Waits;
                    }
                }
                Err(error) if waits(&error) => return Turn::Waits,
                Err(_) => return Turn::Broken,
            }
        }
    }

    /// The beginning of the answer, for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.answer[..self.answer.len().min(600)]).into_owned()
    }
}

fn connect(address: SocketAddr, token: Token, registry: &Registry) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

/// Status of an answer, and whether the connection closes after it, when all of it is here.
fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?.to_ascii_lowercase();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let complete = if header("transfer-encoding:").is_some_and(|it| it == "chunked") {
        answer.ends_with(b"0\r\n\r\n")
    } else {
        let length = header("content-length:").map_or(Some(0), |it| it.parse().ok())?;
        answer.len() >= head + length
    };
    complete.then(|| (status, header("connection:") == Some("close")))
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(whole(answer), Some((503, false)));
        assert_eq!(whole(&answer[..answer.len() - 1]), None);
        assert_eq!(whole(&answer[..20]), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(whole(chunked), Some((200, true)));
    }
}
