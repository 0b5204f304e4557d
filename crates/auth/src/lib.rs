//! Who may call: passwords, access tokens, sessions.
