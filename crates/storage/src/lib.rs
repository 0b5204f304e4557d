//! What must be remembered: accounts, sessions, journal, parked and dead events, offsets.
