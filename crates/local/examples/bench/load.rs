//! A closed-loop load of events over plain sockets, cheap enough to share two cores with what it measures.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// What one load saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers with 202.
    pub(crate) accepted: u64,
    /// Any other answer.
    pub(crate) other: u64,
    /// How long the load ran.
    pub(crate) ran: Duration,
    /// Every answer's latency in microseconds, sorted.
    latencies: Vec<u32>,
}

impl Seen {
    /// Accepted events per second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.accepted).unwrap_or(u32::MAX)) / self.ran.as_secs_f64()
    }

    /// The latency that `per_mille` of 1000 answers stayed within, in milliseconds.
    pub(crate) fn quantile(&self, per_mille: usize) -> f64 {
        let place = self.latencies.len().saturating_mul(per_mille) / 1000;
        f64::from(self.latencies.get(place).copied().unwrap_or_default()) / 1000.0
    }
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After this time.
    Passed(Duration),
    /// After so many events on each connection.
    Sent(u64),
    /// After the second of these times, with an event in every one of the first on each connection, evenly over all of them; latency
    /// counts from when an event was due.
    Paced(Duration, Duration),
}

/// Sends events on so many connections until the end; ids begin with `name`, which makes them unique.
pub(crate) fn run(address: SocketAddr, token: &str, connections: u16, (name, until): (&str, Until)) -> io::Result<Seen> {
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|connection| {
            let (token, name) = (token.to_owned(), format!("{name}-{connection:03}"));
            let begin = match until {
                Until::Paced(every, _) => started + every * u32::from(connection) / u32::from(connections),
                Until::Passed(_) | Until::Sent(_) => started,
            };
            thread::spawn(move || converse(address, &token, &name, (begin, until)))
        })
        .collect();
    let mut total = Seen::default();
    for worker in workers {
        let seen = worker.join().map_err(|_| io::Error::other("a connection's thread ended early"))??;
        total.accepted = total.accepted.saturating_add(seen.accepted);
        total.other = total.other.saturating_add(seen.other);
        total.latencies.extend(seen.latencies);
    }
    total.ran = started.elapsed();
    total.latencies.sort_unstable();
    Ok(total)
}

/// One connection: an event, its answer, the next event; the first is due at a time.
fn converse(address: SocketAddr, token: &str, name: &str, (started, until): (Instant, Until)) -> io::Result<Seen> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let (mut seen, mut sent) = (Seen::default(), 0_u64);
    loop {
        let over = match until {
            Until::Passed(time) | Until::Paced(_, time) => started.elapsed() >= time,
            Until::Sent(count) => sent >= count,
        };
        if over {
            return Ok(seen);
        }
        let mut asked = Instant::now();
        if let Until::Paced(every, _) = until {
            asked = started + every * u32::try_from(sent).unwrap_or(u32::MAX);
            thread::sleep(asked.saturating_duration_since(Instant::now()));
        }
        stream.write_all(request(token, name, sent).as_bytes())?;
        let status = answer(&mut answers)?;
        seen.latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        sent = sent.saturating_add(1);
        if status == 202 {
            seen.accepted = seen.accepted.saturating_add(1);
        } else {
            seen.other = seen.other.saturating_add(1);
        }
    }
}

/// A request with an event of about 300 bytes.
fn request(token: &str, name: &str, number: u64) -> String {
    let filler = "a customer placed an order and pays by invoice; ".repeat(4);
    let body = format!(r#"{{"id":"{name}-{number:09}","name":"order placed","body":"{filler}","timestamp":"2026-01-31T12:00:00.000Z"}}"#);
    format!(
        "POST /api/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one answer to its end and tells its status.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let (mut status, mut length, mut line) = (None, 0_u64, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if let Some((key, value)) = line.split_once(':')
            && key.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
    status.ok_or_else(|| io::Error::other("an answer without a status"))
}
