//! Accepts events: the stages receive to publish.
