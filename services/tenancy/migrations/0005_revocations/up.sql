-- Members who were removed or have another role, for the gateways.
SELECT causeway.create_revocations();
