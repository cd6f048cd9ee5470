SELECT causeway.create_outbox();
