//! The simulators over real HTTP on loopback: the target in this process, the source against a small API made for it, and
//! both as programs of their own.

#[cfg(test)]
mod http;
#[cfg(test)]
mod api;
#[cfg(test)]
mod target;
#[cfg(test)]
mod source;
#[cfg(test)]
mod programs;
