//! Server-sent events (WHATWG), read as the bytes come, with a limit on what one event may hold.

use bytes::Bytes;

/// The most bytes of one line, and of the data of one event.
pub(crate) const MAX_EVENT_BYTES: usize = 256 * 1024;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The value of `event`; empty if there is none.
    pub name: String,
    /// The lines of `data`.
    pub data: String,
}

/// Bytes that are no event stream, or too long a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnEventStream;

/// Turns bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
    begun: bool,
}

impl Decoder {
    /// Reads more bytes; adds the events that are complete to `events`.
    ///
    /// # Errors
    /// [`NotAnEventStream`] for text that is not UTF-8, or over the limit.
    pub(crate) fn feed(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), NotAnEventStream> {
        let mut rest = bytes.as_ref();
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (part, tail) = (&rest[..end], &rest[end + 1..]);
            // The second half of CR LF ends no line of its own.
            let is_half = rest[end] == b'\n' && end == 0 && self.after_cr;
            self.after_cr = rest[end] == b'\r';
            rest = tail;
            if !is_half {
                self.extend_line(part)?;
                self.end_line(events)?;
            }
        }
        if !rest.is_empty() {
            self.after_cr = false;
            self.extend_line(rest)?;
        }
        Ok(())
    }

    fn extend_line(&mut self, part: &[u8]) -> Result<(), NotAnEventStream> {
        if self.line.len() + part.len() > MAX_EVENT_BYTES {
            return Err(NotAnEventStream);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), NotAnEventStream> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| NotAnEventStream)?;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() > MAX_EVENT_BYTES {
                    return Err(NotAnEventStream);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // Comments (an empty field), `id`, `retry` and what we do not know.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Result<Vec<Event>, NotAnEventStream> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for chunk in chunks {
            decoder.feed(&Bytes::copy_from_slice(chunk), &mut events)?;
        }
        Ok(events)
    }

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    const STREAM: &str =
        "\u{feff}: hello\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\ndata: ä\n\nid: 7\n\ndata\n\n";

    #[test]
    fn every_cut_of_the_bytes_gives_the_same_events() {
        let expected = vec![event("a", "1\n2"), event("", "ä"), event("", "")];
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            assert_eq!(
                read(&[&bytes[..cut], &bytes[cut..]]),
                Ok(expected.clone()),
                "cut at {cut}"
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), Ok(expected));
    }

    #[test]
    fn lone_carriage_returns_end_lines() {
        assert_eq!(
            read(&[b"data: 1\r\rdata: 2\r", b"\r"]),
            Ok(vec![event("", "1"), event("", "2")])
        );
    }

    #[test]
    fn an_event_that_is_cut_off_is_no_event() {
        assert_eq!(read(&[b"data: 1\n\ndata: 2\n"]), Ok(vec![event("", "1")]));
    }

    #[test]
    fn what_is_too_long_or_not_text_is_refused() {
        let long = vec![b'x'; MAX_EVENT_BYTES];
        assert_eq!(read(&[b"data: ", &long]), Err(NotAnEventStream));
        let line = [b"data: ".as_slice(), &long[..MAX_EVENT_BYTES / 2 + 10], b"\n"].concat();
        assert_eq!(read(&[&line, &line]), Err(NotAnEventStream));
        assert_eq!(read(&[b"data: \xff\n"]), Err(NotAnEventStream));
    }
}
