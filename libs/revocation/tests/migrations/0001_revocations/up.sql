SELECT causeway.create_revocations();
