//! The live view on a terminal: twelve lines at its lower end, redrawn four times a second.
//!
//! It only shows; the figures come as [`Snapshot`]s. A key press of `q` or Ctrl-C asks the process to stop.

use std::io;
use std::time::Duration;

use chassis::figures::grouped;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge, Paragraph, Sparkline};

use crate::snapshot::{History, Limit, Snapshot};

/// How many lines the view takes.
pub const LINES: u16 = 12;
/// How wide the columns before a row's curve are.
const FIGURES: u16 = 44;

/// What the view says that does not change.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where events are sent.
    pub listens: String,
    /// Where an operator looks.
    pub console: String,
    /// Where the target is.
    pub target: String,
    /// Where everything is kept.
    pub data: String,
    /// The target's limit.
    pub limit: Limit,
}

/// Draws one picture.
pub fn draw(frame: &mut Frame<'_>, facts: &Facts, history: &History) {
    let now = history.last();
    let title = Line::from(vec![" Events Proxy ".bold(), Span::from(format!(" up {} ", clock(now.up))).dim()]);
    let hint = Line::from(" Ctrl-C stops; what is pending stays on disk ".dim()).right_aligned();
    let block = Block::bordered().border_style(Style::new().fg(Color::DarkGray)).title(title).title(hint);
    let inner = block.inner(frame.area());
    frame.render_widget(block, frame.area());
    let rows: [Rect; 10] = Layout::vertical([Constraint::Length(1); 10]).areas(inner);
    let [listens, console, source, accepted, pending, flight, delivered, trouble, limit, data] = rows;

    frame.render_widget(pair("events in", &facts.listens), listens);
    frame.render_widget(pair("console", &facts.console), console);
    frame.render_widget(source_line(&now), source);
    curve(frame, accepted, history, ("accepted", Color::Cyan, |moment| moment.accepted));
    frame.render_widget(pending_line(&now, facts.limit), pending);
    frame.render_widget(row("in flight", now.in_flight, flight_note(&now, &facts.target)), flight);
    curve(frame, delivered, history, ("delivered", Color::Green, |moment| moment.delivered));
    frame.render_widget(trouble_line(&now), trouble);
    frame.render_widget(limit_gauge(&now, facts.limit), limit);
    frame.render_widget(pair("kept in", &facts.data), data);
}

/// A label and a text.
fn pair<'a>(label: &'a str, text: &'a str) -> Line<'a> {
    Line::from(vec![Span::from(format!(" {label:<10}")).dim(), Span::from(text)])
}

/// A label, a count and what there is to say of it.
fn row(label: &str, count: u64, note: String) -> Line<'static> {
    Line::from(vec![
        Span::from(format!(" {label:<10}")).dim(),
        Span::from(format!("{:>12}", grouped(count))).bold(),
        Span::from(format!("   {note}")).dim(),
    ])
}

/// What the simulated source does.
fn source_line(now: &Snapshot) -> Line<'static> {
    match now.source {
        None => Line::from(vec![Span::from(" source    ").dim(), Span::from("none runs here: send events to the address above").dim()]),
        Some(source) if source.gave_up == 0 => row("sent", source.sent, "by the simulated source, each once".to_owned()),
        Some(source) => row("sent", source.sent, format!("{} without an answer in time", grouped(source.gave_up))),
    }
}

/// The backlog and when it will be gone.
fn pending_line(now: &Snapshot, limit: Limit) -> Line<'static> {
    let note = if now.pending == 0 {
        "nothing waits".to_owned()
    } else {
        format!("drains in {} at the full limit", rough(limit.drain_time(now.pending)))
    };
    row("pending", now.pending, note)
}

/// Where attempts go, or that the target is away.
fn flight_note(now: &Snapshot, target: &str) -> String {
    if now.target_away { format!("{target} does not work: one at a time is tried") } else { format!("to {target}") }
}

/// Retries, parked and dead, each in its colour once there is one.
fn trouble_line(now: &Snapshot) -> Line<'static> {
    let tinted = |text: String, count: u64, color: Color| if count == 0 { Span::from(text).dim() } else { Span::from(text).fg(color) };
    Line::from(vec![
        Span::from(" trouble   ").dim(),
        tinted(format!("{:>12} retried", grouped(now.retried)), now.retried, Color::Yellow),
        tinted(format!("   {} parked", grouped(now.parked)), now.parked, Color::Yellow),
        tinted(format!("   {} dead", grouped(now.dead)), now.dead, Color::Red),
        tinted(format!("   {} refused", grouped(now.refused)), now.refused, Color::Red),
    ])
}

/// How much of the target's limit is used.
fn limit_gauge(now: &Snapshot, limit: Limit) -> LineGauge<'static> {
    let used = now.limit_used.clamp(0.0, 1.0);
    let per = if limit.interval == Duration::from_secs(1) { "s".to_owned() } else { rough(limit.interval) };
    LineGauge::default()
        .filled_style(Style::new().fg(Color::Green))
        .unfilled_style(Style::new().fg(Color::DarkGray))
        .ratio(used)
        .label(format!(" limit     {:>10.0} % of {} per {per} ", used * 100.0, limit.requests))
}

/// A counter with its rate and the curve of its last minute.
fn curve(frame: &mut Frame<'_>, area: Rect, history: &History, of: (&str, Color, fn(&Snapshot) -> u64)) {
    let (label, color, counter) = of;
    let [left, right] = Layout::horizontal([Constraint::Length(FIGURES), Constraint::Min(0)]).areas(area);
    let text = row(label, counter(&history.last()), format!("{:.1} / s", history.rate(counter)));
    frame.render_widget(Paragraph::new(text), left);
    let steps = history.growth(usize::from(right.width), counter);
    frame.render_widget(Sparkline::default().data(&steps).style(Style::new().fg(color)), right);
}

/// A time as hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A time in its largest two units.
#[must_use]
pub fn rough(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// The terminal while the view is on it; given back as it was when dropped.
#[derive(Debug)]
pub struct Screen {
    /// The terminal's lower lines.
    terminal: ratatui::DefaultTerminal,
}

impl Screen {
    /// Takes the terminal's lower lines, without clearing what stands above.
    ///
    /// # Errors
    /// The terminal does not answer.
    pub fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init_with_options(ratatui::TerminalOptions { viewport: ratatui::Viewport::Inline(LINES) })?;
        Ok(Self { terminal })
    }

    /// Draws one picture.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, facts: &Facts, history: &History) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, facts, history)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What is written next stands below the view, not in it.
        let last = self.terminal.get_frame().area().bottom().saturating_sub(1);
        self.terminal.set_cursor_position((0, last)).ok();
        ratatui::restore();
    }
}

/// Waits at most `patience` for a key that asks to stop.
///
/// # Errors
/// The terminal is gone.
pub fn asks_to_stop(patience: Duration) -> io::Result<bool> {
    use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
    if !event::poll(patience)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else { return Ok(false) };
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(interrupt || key.code == KeyCode::Char('q'))
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
