//! The cheapest action that can be seen: sends its argument, and when it was started, to each port named after it.
//!
//! `mark WORD PORT…` sends the datagram `WORD NANOSECONDS` to 127.0.0.1. Exit 0 also when nobody listens.
use std::net::UdpSocket;

fn main() {
    let started = quell_bench_tools::now_ns();
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { std::process::exit(1) };
    for port in arguments {
        if socket
            .send_to(format!("{word} {started}").as_bytes(), format!("127.0.0.1:{port}"))
            .is_err()
        {
            std::process::exit(1);
        }
    }
}
