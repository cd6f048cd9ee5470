DROP TRIGGER refuse_erased ON clients;
DROP TABLE client_secret_index;
