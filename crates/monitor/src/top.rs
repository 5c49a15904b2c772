//! `ourio top`: a process in the terminal, read from its local socket once a second.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, List, ListItem, Paragraph, Row, Sparkline, Table};
use serde_json::Value;

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// For so long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// The tree is cut off below.
const DEPTH_MAX: usize = 12;
/// An answer is no larger.
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// Shows the process at a socket until the user leaves with `q`.
///
/// # Errors
///
/// The system's, if there is no such socket, or no terminal.
pub fn top(socket: &Path) -> io::Result<()> {
    let mut view = View::default();
    view.read(socket)?;
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, &mut view, socket);
    ratatui::restore();
    outcome
}

/// What [`top`] shows, as a picture in SVG: of the answers to `/api/state` and `/api/tasks`.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if one of them is no JSON.
pub fn picture(state: &str, tasks: &str, width: u16, height: u16) -> io::Result<String> {
    let view = View { state: parse(state)?, tasks: parse(tasks)?, ..View::default() };
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut()))?;
    Ok(svg(terminal.backend().buffer()))
}

fn show(terminal: &mut ratatui::DefaultTerminal, view: &mut View, socket: &Path) -> io::Result<()> {
    let mut read_at = Instant::now();
    loop {
        terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut()))?;
        let left = PERIOD.saturating_sub(read_at.elapsed());
        if event::poll(left)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                    KeyCode::Char('t') => view.shows_tree = !view.shows_tree,
                    KeyCode::Char('s') => view.order = view.order.next(),
                    KeyCode::Down | KeyCode::Char('j') => view.first += 1,
                    KeyCode::Up | KeyCode::Char('k') => view.first = view.first.saturating_sub(1),
                    KeyCode::PageDown => view.first += 20,
                    KeyCode::PageUp => view.first = view.first.saturating_sub(20),
                    _ => {}
                }
            }
        } else {
            read_at = Instant::now();
            match view.read(socket) {
                Ok(()) => view.trouble = None,
                // The program may have ended; the last state stays.
                Err(error) => view.trouble = Some(error.to_string()),
            }
        }
    }
}

/// By what tasks are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Age,
    Name,
    Wait,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Age => Self::Name,
            Self::Name => Self::Wait,
            Self::Wait => Self::Age,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Name => "name",
            Self::Wait => "what they wait for",
        }
    }
}

#[derive(Debug, Default)]
struct View {
    state: Value,
    tasks: Value,
    trouble: Option<String>,
    shows_tree: bool,
    order: Order,
    first: usize,
}

impl View {
    fn read(&mut self, socket: &Path) -> io::Result<()> {
        self.state = parse(&get(socket, "/api/state")?.1)?;
        let (status, tasks) = get(socket, "/api/tasks")?;
        if status == 200 {
            self.tasks = parse(&tasks)?;
        }
        Ok(())
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer) {
        use ratatui::widgets::Widget;
        let loops = list(&self.state, "loops");
        let height = u16::try_from(loops.len()).unwrap_or(1).clamp(1, 3) * 5;
        let notes = list(&self.state, "notes");
        let told = u16::try_from(notes.len()).unwrap_or(0).clamp(1, 6) + 2;
        let [head, graphs, stalls, tasks, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(height),
            Constraint::Length(told),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(area);
        self.heading().render(head, buffer);
        let rows = Layout::vertical(vec![Constraint::Length(5); loops.len().clamp(1, 3)]).split(graphs);
        for (state, row) in loops.iter().zip(rows.iter()) {
            draw_loop(state, *row, buffer);
        }
        let items = notes.iter().rev().take(6).map(note_line).map(ListItem::new);
        List::new(items).block(Block::bordered().title(" stalls and more ")).render(stalls, buffer);
        if self.shows_tree {
            self.draw_tree(tasks, buffer);
        } else {
            self.draw_tasks(tasks, buffer);
        }
        let keys = " q quit   t tree   s sort   up/down scroll ";
        match &self.trouble {
            Some(trouble) => Line::from(format!(" {trouble} ")).black().on_red().render(foot, buffer),
            None => Line::from(keys).dim().render(foot, buffer),
        }
    }

    fn heading(&self) -> Line<'_> {
        let text = |name: &str| self.state[name].as_str().unwrap_or_default().to_owned();
        Line::from(vec![
            Span::from(" ourio top ").bold().black().on_cyan(),
            Span::from(format!(
                "  {} ({}), {}, up {}",
                text("program"),
                self.state["process"],
                text("host"),
                age(self.state["uptime"].as_f64().unwrap_or(0.0))
            )),
        ])
    }

    fn draw_tasks(&self, area: Rect, buffer: &mut Buffer) {
        use ratatui::widgets::Widget;
        let mut tasks: Vec<&Value> = list(&self.tasks, "tasks").iter().collect();
        let text = |task: &Value, name: &str| task[name].as_str().unwrap_or_default().to_owned();
        match self.order {
            Order::Age => tasks.sort_by(|a, b| {
                let (a, b) = (a["age"].as_f64().unwrap_or(0.0), b["age"].as_f64().unwrap_or(0.0));
                b.total_cmp(&a)
            }),
            Order::Name => tasks.sort_by_key(|task| text(task, "name")),
            Order::Wait => tasks.sort_by_key(|task| text(task, "waits_for")),
        }
        let first = self.first.min(tasks.len().saturating_sub(1));
        let rows = tasks.iter().skip(first).take(area.height as usize).map(|task| {
            let state = text(task, "state");
            let colour = if state == "waiting" { Color::Reset } else { Color::Green };
            Row::new(vec![
                text(task, "name"),
                task["age"].as_f64().map_or_else(|| "-".to_owned(), age),
                state,
                waits_for(task),
                where_is(task),
            ])
            .style(Style::new().fg(colour))
        });
        let widths = [
            Constraint::Fill(2),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Fill(3),
            Constraint::Fill(3),
        ];
        let title =
            format!(" {} tasks, by {} ", self.tasks["total"].as_u64().unwrap_or(0), self.order.name());
        Table::new(rows, widths)
            .header(Row::new(["task", "age", "state", "waits for", "at"]).add_modifier(Modifier::BOLD))
            .block(Block::bordered().title(title))
            .render(area, buffer);
    }

    /// Who waits for whom: below each task those that wait for it.
    fn draw_tree(&self, area: Rect, buffer: &mut Buffer) {
        use ratatui::widgets::Widget;
        let tasks = list(&self.tasks, "tasks");
        let mut waiting: HashMap<u64, Vec<&Value>> = HashMap::new();
        let mut roots = Vec::new();
        for task in tasks {
            let held: Vec<u64> = list(task, "held_by").iter().filter_map(Value::as_u64).collect();
            match held.first() {
                Some(other) => waiting.entry(*other).or_default().push(task),
                None => roots.push(task),
            }
        }
        let mut lines = Vec::new();
        let mut seen = HashSet::new();
        for root in roots.into_iter().chain(tasks) {
            branch(root, 0, &waiting, &mut seen, &mut lines);
        }
        let shown: Vec<Line<'_>> = lines.into_iter().skip(self.first).map(Line::from).collect();
        let title = " who waits for whom: below each task those that wait for it ";
        Paragraph::new(shown).block(Block::bordered().title(title)).render(area, buffer);
    }
}

fn branch(
    task: &Value,
    depth: usize,
    waiting: &HashMap<u64, Vec<&Value>>,
    seen: &mut HashSet<u64>,
    lines: &mut Vec<String>,
) {
    let id = task["id"].as_u64().unwrap_or(0);
    if depth > DEPTH_MAX || !seen.insert(id) {
        return;
    }
    let text = |name: &str| task[name].as_str().unwrap_or_default();
    let mark = if depth == 0 { "" } else { "└ " };
    lines.push(format!(
        "{}{mark}{}: {}, {}",
        "  ".repeat(depth),
        text("name"),
        waits_for(task),
        where_is(task)
    ));
    for other in waiting.get(&id).into_iter().flatten() {
        branch(other, depth + 1, waiting, seen, lines);
    }
}

fn draw_loop(state: &Value, area: Rect, buffer: &mut Buffer) {
    use ratatui::widgets::Widget;
    let [text, utilisation, delay] =
        Layout::horizontal([Constraint::Length(44), Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let now = &state["now"];
    let figure = |name: &str| now[name].as_f64().unwrap_or(0.0);
    let status = match state["blocked"].as_f64() {
        Some(seconds) => Span::from(format!("BLOCKED for {}", age(seconds))).bold().fg(Color::Red),
        None if state["resting"].as_bool() == Some(true) => Span::from("idle").fg(Color::Green),
        None => Span::from("running").fg(Color::Yellow),
    };
    let connections = list(state, "connections");
    let open: u64 = connections.iter().filter_map(|kind| kind["open"].as_u64()).sum();
    let lines = vec![
        Line::from(status),
        Line::from(format!("{:.0} turns/s, {:.0} calls/s", figure("turns"), figure("callbacks"))),
        Line::from(format!(
            "ready {}, timers {}, fds {}, conns {open}",
            now["ready"], now["timers"], now["descriptors"]
        )),
    ];
    let name = state["name"].as_str().unwrap_or_default().to_owned();
    Paragraph::new(lines).block(Block::bordered().title(format!(" {name} "))).render(text, buffer);
    let samples = list(state, "samples");
    let series = |name: &str, unit: f64| -> Vec<u64> {
        samples.iter().map(|sample| whole(sample[name].as_f64().unwrap_or(0.0) * unit)).collect()
    };
    let last = |values: Vec<u64>, width: u16| -> Vec<u64> {
        let excess = values.len().saturating_sub(usize::from(width.saturating_sub(2)));
        values.into_iter().skip(excess).collect()
    };
    let used = last(series("utilisation", 1000.0), utilisation.width);
    let title = format!(" utilisation {:.0} % ", figure("utilisation") * 100.0);
    Sparkline::default()
        .block(Block::bordered().title(title))
        .data(&used)
        .max(1000)
        .style(Style::new().fg(Color::Cyan))
        .render(utilisation, buffer);
    let late = last(series("delay_p99", 1e6), delay.width);
    let title = format!(" delay p99 {} ", age(figure("delay_p99")));
    Sparkline::default()
        .block(Block::bordered().title(title))
        .data(&late)
        .style(Style::new().fg(Color::Magenta))
        .render(delay, buffer);
}

fn note_line(note: &Value) -> Line<'static> {
    let kind = note["kind"].as_str().unwrap_or_default().to_owned();
    let text = note["content"]["text"].as_str().unwrap_or_default();
    let first = text.lines().next().unwrap_or_default().to_owned();
    Line::from(vec![Span::from(format!("{kind:9} ")).bold().fg(Color::Red), Span::from(first)])
}

/// What a task waits for, and who holds it.
fn waits_for(task: &Value) -> String {
    let text = task["waits_for"].as_str().unwrap_or_default();
    match list(task, "holders") {
        [holder, ..] if task["is_held"] == true => format!("{text} held by {holder}"),
        _ => text.to_owned(),
    }
}

fn where_is(task: &Value) -> String {
    let file = task["file"].as_str().unwrap_or_default();
    let file = file.rsplit('/').next().unwrap_or_default();
    match task["line"].as_u64() {
        Some(line) => format!("{file}:{line} {}", task["function"].as_str().unwrap_or_default()),
        None => "-".to_owned(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Seconds for people.
fn age(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.001 => format!("{:.0} us", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the height of a bar; `as` saturates"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn parse(text: &str) -> io::Result<Value> {
    serde_json::from_str(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Asks a local socket; the status, and the answer.
fn get(socket: &Path, path: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: ourio\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the monitor's answer is cut off");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    Ok((status, body.to_owned()))
}

/// A screen as a picture.
fn svg(buffer: &Buffer) -> String {
    const WIDTH: f32 = 8.4;
    const HEIGHT: f32 = 18.0;
    let area = buffer.area();
    let (width, height) = (f32::from(area.width) * WIDTH, f32::from(area.height) * HEIGHT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" \
         font-size=\"14\"><rect width=\"100%\" height=\"100%\" fill=\"#16181d\"/>\n"
    );
    for y in 0..area.height {
        for x in 0..area.width {
            let cell = &buffer[(x, y)];
            let (left, top) = (f32::from(x) * WIDTH, f32::from(y) * HEIGHT);
            // Writing to a string does not fail.
            if cell.bg != Color::Reset {
                let _ = writeln!(
                    text,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"{}\"/>",
                    colour(cell.bg)
                );
            }
            if cell.symbol().trim().is_empty() {
                continue;
            }
            let symbol = cell.symbol().replace('&', "&amp;").replace('<', "&lt;");
            let weight = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let _ = writeln!(
                text,
                "<text x=\"{left}\" y=\"{}\" fill=\"{}\"{weight}>{symbol}</text>",
                top + 14.0,
                colour(cell.fg)
            );
        }
    }
    text.push_str("</svg>\n");
    text
}

const fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Black => "#16181d",
        Color::Red => "#ff6b6b",
        Color::Green => "#7bd88f",
        Color::Yellow => "#f5c84c",
        Color::Cyan => "#4cc9f0",
        Color::Magenta => "#c792ea",
        _ => "#d7dae0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(view: &View) -> String {
        let area = Rect::new(0, 0, 120, 30);
        let mut buffer = Buffer::empty(area);
        view.draw(area, &mut buffer);
        let row = |y| (0..area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>() + "\n";
        (0..area.height).map(row).collect()
    }

    fn view() -> io::Result<View> {
        let state = r#"{"program": "service.py", "process": 7, "host": "CPython", "uptime": 61.0, "loops": [{"name":
            "MainThread", "blocked": 2.5, "resting": false, "now": {"utilisation": 1.0, "delay_p99": 2.5, "turns": 3.0,
            "callbacks": 4.0, "ready": 1, "timers": 2, "descriptors": 3}, "samples": [{"utilisation": 0.5}],
            "connections": [{"open": 8}]}], "notes": [{"kind": "stall", "content": {"text": "is blocked by it"}}]}"#;
        let tasks = r#"{"total": 2, "tasks": [{"id": 1, "name": "holder", "age": 3.0, "state": "waiting", "waits_for":
            "a timer", "held_by": [], "file": "/a/b.py", "line": 5, "function": "f"}, {"id": 2, "name": "waiter", "age":
            90.0, "state": "waiting", "waits_for": "a lock", "held_by": [1], "is_held": true, "holders": ["holder"], "file": null, "line": null}]}"#;
        Ok(View { state: parse(state)?, tasks: parse(tasks)?, ..View::default() })
    }

    #[test]
    fn a_blocked_loop_its_stalls_and_its_tasks_are_seen() -> io::Result<()> {
        let mut view = view()?;
        let text = screen(&view);
        for part in
            ["service.py (7)", "BLOCKED for 2.5 s", "is blocked by it", "2 tasks", "b.py:5 f", "conns 8"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.find("waiter") < text.find("holder"), "the oldest first");
        view.order = Order::Name;
        let text = screen(&view);
        assert!(text.find("holder") < text.find("waiter"));
        Ok(())
    }

    #[test]
    fn the_tree_shows_below_each_task_who_waits_for_it_and_ends_in_a_circle() -> io::Result<()> {
        let mut view = view()?;
        view.shows_tree = true;
        let text = screen(&view);
        assert!(text.contains("└ waiter: a lock held by \"holder\""), "{text}");
        view.tasks["tasks"][0]["held_by"] = serde_json::json!([2]);
        assert!(screen(&view).contains("holder"));
        Ok(())
    }

    #[test]
    fn nothing_to_show_is_shown() {
        for width in [1, 10, 300] {
            let area = Rect::new(0, 0, width, 3);
            View::default().draw(area, &mut Buffer::empty(area));
        }
    }

    #[test]
    fn a_picture_is_well_formed() -> io::Result<()> {
        let picture = picture("{\"program\": \"<&>\"}", "{}", 40, 10)?;
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("&lt;") && picture.contains("&amp;"));
        assert!(super::picture("no", "{}", 1, 1).is_err());
        Ok(())
    }
}
