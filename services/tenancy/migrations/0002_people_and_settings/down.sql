DROP TABLE settings;
DROP TABLE invitation_index;
DROP TABLE invitations;
DROP INDEX members_by_role;
