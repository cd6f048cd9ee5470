DROP TRIGGER refuse_erased ON factors;
