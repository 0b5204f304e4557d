//! Delivers events: the stages consume to settle.
