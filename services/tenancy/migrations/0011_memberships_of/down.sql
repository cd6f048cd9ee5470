DROP FUNCTION memberships_of(uuid[], uuid[]);
