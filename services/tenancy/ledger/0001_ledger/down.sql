DROP TABLE receipts;
DROP TABLE tombstones;
DROP TABLE erasures;
