//! Whose data it is and under which keys it lies: workspaces, members, data keys, secrets.
