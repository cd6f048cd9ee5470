//! As little of HTTP/1.1 as a load needs: what the caller costs is not the server's to show.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The last answer, whole.
    pub(crate) buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8192),
        })
    }

    /// The body of a `GET` that is answered with 200.
    pub(crate) fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())
    }

    /// The answer to JSON.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(serde_json::from_slice(&self.exchange(request.as_bytes())?)?)
    }

    /// Sends the bytes of a request; answers the body of its success.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let (head, length) = loop {
            self.fill()?;
            if let Some(found) = head_of(&self.buffer)? {
                break found;
            }
        };
        while self.buffer.len() < head + length {
            self.fill()?;
        }
        let body = self.buffer.get(head..head + length).unwrap_or_default().to_vec();
        if !self.buffer.starts_with(b"HTTP/1.1 20") {
            bail!("refused: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    fn fill(&mut self) -> Result<()> {
        let mut piece = [0_u8; 8192];
        match self.stream.read(&mut piece)? {
            0 => bail!("the connection was closed"),
            count => self
                .buffer
                .extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
        Ok(())
    }
}

/// Where the body begins and how long it is; nothing while the head is not whole.
pub(crate) fn head_of(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Ok(Some((end + 4, length.context("an answer without a length")?)))
}
