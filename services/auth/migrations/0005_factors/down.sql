DROP TABLE passed_factors;
DROP TABLE factor_tries;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
DROP TABLE factors;
DROP TABLE key_fences;
DROP FUNCTION refuse_below_fence();
