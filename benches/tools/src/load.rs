//! A load on one or more servers: closed loop (each connection sends again when it was answered) or open loop (a rate, whatever
//! the answers). One thread, one request in flight a connection, and requests that are only patched: it takes little from the
//! cores that the server shares with it.
//!
//! Times of an open loop count from when a request was due, if no connection was free then: what waits is not left out.

pub mod body;
mod link;
mod mix;
mod tally;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::net::UdpSocket;

use crate::now_ns;
use body::Kind;
use body::Template;
use link::Link;
use link::Turn;
use mix::Block;
pub use mix::Mix;
use mix::Next;
pub use tally::Tally;

/// What load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Servers; connections are spread over them.
    pub servers: Vec<SocketAddr>,
    /// Path of the requests.
    pub path: String,
    /// What bodies.
    pub kind: Kind,
    /// Alerts of a body.
    pub alerts: usize,
    /// What the alerts say.
    pub mix: Mix,
    /// Bodies that are sent before, and repeated then.
    pub known: u64,
    /// Connections.
    pub connections: usize,
    /// Requests a second; closed loop without.
    pub rate: Option<f64>,
    /// Measured for so long.
    pub seconds: f64,
    /// Not counted before.
    pub warm: f64,
    /// Ends after so many requests, if that is sooner.
    pub count: Option<u64>,
    /// A request is given up after it.
    pub timeout: Duration,
    /// UDP port on which actions say when they started.
    pub marks: Option<u16>,
    /// How long answers and marks are waited for at the end.
    pub drain: Duration,
}

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    next: Next,
    /// From when its time counts.
    from: Instant,
    sent: Instant,
    counts: bool,
}

struct Run<'a> {
    load: &'a Load,
    template: Template,
    poll: Poll,
    links: Vec<Link>,
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    /// Connections that broke: free a moment later, since a server that is gone would be asked without end.
    resting: Vec<usize>,
    marks: Option<UdpSocket>,
    block: Block,
    tally: Tally,
    ended_at: String,
    phase: Phase,
    /// Requests begun in this phase.
    begun: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What is repeated later is sent once.
    Acquaint,
    /// Not counted yet.
    Warm,
    Measure,
    /// What is under way may end.
    Drain,
}

/// Makes the load; returns what came of it.
pub fn run(load: &Load) -> Result<Tally, String> {
    let began = now_ns();
    let template = Template::new(
        load.kind,
        &load.path,
        load.alerts,
        load.marks.is_some(),
        &body::instant(began),
    );
    let poll = Poll::new().map_err(|error| format!("load: {error}"))?;
    let mut links = Vec::with_capacity(load.connections);
    for number in 0..load.connections {
        let server = load.servers[number % load.servers.len()];
        let request = template.bytes.clone();
        let link = Link::open(server, Token(number), request, poll.registry())
            .map_err(|error| format!("load: cannot connect to {server}: {error}"))?;
        links.push(link);
    }
    let marks = load.marks.map(|port| listen(port, load.connections, &poll)).transpose()?;
    // numbers of this process alone: its beginning to the millisecond, and a count
    let first = (began / 1_000_000) << 22;
    let mut run = Run {
        flights: vec![None; links.len()],
        free: Vec::new(),
        resting: Vec::new(),
        block: Block::new(first, load.alerts as u64, load.mix, load.known),
        tally: Tally::default(),
        ended_at: body::instant(began),
        phase: Phase::Acquaint,
        begun: 0,
        load,
        template,
        poll,
        links,
        marks,
    };
    run.all()?;
    Ok(run.tally)
}

fn listen(port: u16, connections: usize, poll: &Poll) -> Result<UdpSocket, String> {
    let failed = |error| format!("load: UDP port {port}: {error}");
    let mut socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], port))).map_err(failed)?;
    let token = Token(connections);
    poll.registry().register(&mut socket, token, Interest::READABLE).map_err(failed)?;
    Ok(socket)
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), String> {
        let bound = self.load.timeout + Duration::from_mins(1);
        if self.block.is_to_acquaint() {
            self.phase(Phase::Acquaint, None, bound)?;
        }
        let rate = self.load.rate;
        if self.load.warm > 0.0 {
            self.phase(Phase::Warm, rate, Duration::from_secs_f64(self.load.warm))?;
        }
        self.tally.began = Some(Instant::now());
        let took = self.phase(Phase::Measure, rate, Duration::from_secs_f64(self.load.seconds))?;
        self.tally.seconds = took.as_secs_f64();
        self.phase(Phase::Drain, None, self.load.drain)?;
        Ok(())
    }

    /// One phase, for so long at most; says how long it took.
    fn phase(
        &mut self,
        phase: Phase,
        rate: Option<f64>,
        lasts: Duration,
    ) -> Result<Duration, String> {
        (self.phase, self.begun) = (phase, 0);
        let began = Instant::now();
        let until = began + lasts;
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 64 << 10];
        let mut backlog = VecDeque::new();
        let mut due = 0_u64;
        let mut looked = began;
        self.resting.clear();
        self.free = (0..self.links.len()).rev().filter(|it| self.flights[*it].is_none()).collect();
        loop {
            let now = Instant::now();
            if now >= until || self.is_over() {
                // what no connection was free for was asked for all the same
                if phase == Phase::Measure {
                    self.tally.unsent = backlog.len() as u64;
                }
                return Ok(now.duration_since(began));
            }
            let mut wait = Duration::from_millis(100).min(until - now);
            match rate {
                Some(rate) => {
                    let at = |number: u64| began + Duration::from_secs_f64(number as f64 / rate);
                    while at(due) <= now {
                        backlog.push_back(at(due));
                        due += 1;
                    }
                    self.tally.longest_queue = self.tally.longest_queue.max(backlog.len() as u64);
                    wait = wait.min(at(due).saturating_duration_since(now));
                    while let Some(index) = self.free.pop() {
                        let Some(scheduled) = backlog.pop_front() else {
                            self.free.push(index);
                            break;
                        };
                        // a tick of the poll late is not the server's fault
                        let waited = now.duration_since(scheduled) > Duration::from_millis(2);
                        self.begin(index, if waited { scheduled } else { now });
                    }
                }
                None if phase != Phase::Drain => {
                    while let Some(index) = self.free.pop() {
                        self.begin(index, Instant::now());
                    }
                }
                None => {}
            }
            self.poll.poll(&mut events, Some(wait)).or_else(|error| match error.kind() {
                std::io::ErrorKind::Interrupted => Ok(()),
                _ => Err(format!("load: {error}")),
            })?;
            for event in &events {
                let index = event.token().0;
                if index == self.links.len() {
                    self.read_marks();
                } else {
                    self.go_on(index, rate.is_some(), &mut buffer);
                }
            }
            if now.duration_since(looked) > Duration::from_millis(100) {
                looked = now;
                self.give_up(now);
                self.free.append(&mut self.resting);
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Acquaint => !self.block.is_to_acquaint() && self.is_quiet(),
            Phase::Warm => false,
            Phase::Measure => self.load.count.is_some_and(|it| self.begun >= it) && self.is_quiet(),
            Phase::Drain => {
                let marked =
                    self.marks.is_none() || self.tally.marks.total() >= self.tally.ok.total();
                marked && self.is_quiet()
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.flights.iter().all(Option::is_none)
    }

    /// Whether another request may begin.
    fn may_begin(&self) -> bool {
        match self.phase {
            Phase::Acquaint => self.block.is_to_acquaint(),
            Phase::Warm => true,
            Phase::Measure => self.load.count.is_none_or(|it| self.begun < it),
            Phase::Drain => false,
        }
    }

    fn begin(&mut self, index: usize, from: Instant) {
        if !self.may_begin() {
            return;
        }
        self.begun += 1;
        let next = self.block.next(self.phase == Phase::Acquaint);
        let link = &mut self.links[index];
        self.template.patch(&mut link.request, next.first, next.says, &self.ended_at);
        let sent = Instant::now();
        let late = u64::try_from(sent.duration_since(from).as_nanos()).unwrap_or_default();
        self.template.stamp(&mut link.request, now_ns() - late);
        let counts = self.phase == Phase::Measure;
        self.flights[index] = Some(Flight { next, from, sent, counts });
        if let Turn::Broken = link.begin(self.poll.registry()) {
            self.broken(index);
        }
    }

    fn go_on(&mut self, index: usize, open_loop: bool, buffer: &mut [u8]) {
        match self.links[index].go_on(buffer) {
            Turn::Waits => {}
            Turn::Broken => self.broken(index),
            Turn::Answered { status, closes } => {
                if let Some(flight) = self.flights[index].take() {
                    let ok = (200..300).contains(&status);
                    if ok {
                        self.block.taken(flight.next);
                    }
                    if flight.counts {
                        // of an open loop, also what is answered later
                        let counts = open_loop || self.phase == Phase::Measure;
                        if counts || self.phase == Phase::Drain {
                            let shown = (!ok && status != 503).then(|| self.links[index].shown());
                            self.tally.answered(status, flight.from.elapsed(), shown);
                        }
                    }
                }
                if closes {
                    self.links[index].let_go();
                }
                self.freed(index, open_loop);
            }
        }
    }

    /// A connection has nothing to do.
    fn freed(&mut self, index: usize, open_loop: bool) {
        if open_loop || self.phase == Phase::Drain {
            self.free.push(index);
        } else {
            self.begin(index, Instant::now());
        }
    }

    fn broken(&mut self, index: usize) {
        let flight = self.flights[index].take();
        if flight.is_some_and(|it| it.counts) {
            self.tally.broken += 1;
        }
        self.links[index].let_go();
        if flight.is_some() {
            self.resting.push(index);
        }
    }

    /// Lets go of what takes too long.
    fn give_up(&mut self, now: Instant) {
        for index in 0..self.links.len() {
            let late = self.flights[index]
                .is_some_and(|it| now.duration_since(it.sent) > self.load.timeout);
            if late {
                if self.flights[index].take().is_some_and(|it| it.counts) {
                    self.tally.timeouts += 1;
                }
                self.links[index].let_go();
                self.free.push(index);
            }
        }
    }

    fn read_marks(&mut self) {
        let Some(socket) = &self.marks else { return };
        let mut datagram = [0; 128];
        while let Ok(length) = socket.recv(&mut datagram) {
            let text = String::from_utf8_lossy(&datagram[..length]);
            let mut numbers = text.split(' ').map(str::parse::<u64>);
            if let (Some(Ok(sent)), Some(Ok(started))) = (numbers.next(), numbers.next()) {
                self.tally.marked(sent, started);
            }
        }
    }
}
