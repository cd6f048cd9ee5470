//! Transactional outbox and the relay that carries its rows to the audit log.
