//! Who is calling: accounts, sessions, access tokens, personal access tokens.
