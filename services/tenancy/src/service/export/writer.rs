//! Turns lines into the bytes of an export: encrypted if somebody is to receive them, cut into chunks, hashed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::stream::StreamWriter;
use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::job::ExportError;
use crate::domain::{CHUNK_BYTES, Content, Export, ExportedTable, hex};
use crate::store::{TenancyStore, WorkLease};

/// Bytes that were written and not taken yet.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// To where lines go first.
enum Form {
    Plain,
    Encrypted(Box<StreamWriter<Pipe>>),
}

/// The bytes of one export on their way into the store.
pub(super) struct Writer<'a> {
    store: &'a dyn TenancyStore,
    export: &'a Export,
    token: Uuid,
    lease: TimeDelta,
    clock: fn() -> DateTime<Utc>,
    form: Form,
    pipe: Pipe,
    number: u32,
    size: u64,
    hash: Context,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet.
    pub(super) fn new(
        store: &'a dyn TenancyStore,
        export: &'a Export,
        lease: WorkLease,
        lasts: TimeDelta,
        clock: fn() -> DateTime<Utc>,
    ) -> Result<Self, ExportError> {
        let pipe = Pipe::default();
        Ok(Self {
            store,
            export,
            token: lease.token,
            lease: lasts,
            clock,
            form: form(export.age_recipient.as_deref(), &pipe)?,
            pipe,
            number: 0,
            size: 0,
            hash: Context::new(&SHA256),
        })
    }

    /// Adds bytes; chunks that are full go into the store.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        match &mut self.form {
            Form::Plain => self.pipe.write_all(bytes),
            Form::Encrypted(writer) => writer.write_all(bytes),
        }
        .map_err(ExportError::Encrypt)?;
        while self.pipe.lock().len() >= CHUNK_BYTES {
            self.send(CHUNK_BYTES).await?;
        }
        Ok(())
    }

    /// The content that was written, with these tables.
    pub(super) async fn finish(mut self, tables: Vec<ExportedTable>) -> Result<Content, ExportError> {
        if let Form::Encrypted(writer) = std::mem::replace(&mut self.form, Form::Plain) {
            writer.finish().map_err(ExportError::Encrypt)?;
        }
        loop {
            let rest = self.pipe.lock().len();
            if rest == 0 {
                break;
            }
            self.send(rest.min(CHUNK_BYTES)).await?;
        }
        Ok(Content {
            size_bytes: self.size,
            sha256: hex(self.hash.finish().as_ref()),
            tables,
        })
    }

    async fn send(&mut self, size: usize) -> Result<(), ExportError> {
        let chunk: Vec<u8> = self.pipe.lock().drain(..size).collect();
        let lease = WorkLease {
            token: self.token,
            until: (self.clock)() + self.lease,
        };
        self.store
            .append_chunk(self.export, lease, self.number, &chunk)
            .await?;
        self.number += 1;
        self.size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.hash.update(&chunk);
        Ok(())
    }
}

fn form(recipient: Option<&str>, pipe: &Pipe) -> Result<Form, ExportError> {
    let Some(recipient) = recipient else {
        return Ok(Form::Plain);
    };
    let recipient: age::x25519::Recipient = recipient.parse().map_err(|_| ExportError::Recipient)?;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|_| ExportError::Recipient)?;
    let writer = encryptor
        .wrap_output(pipe.clone())
        .map_err(ExportError::Encrypt)?;
    Ok(Form::Encrypted(Box::new(writer)))
}
