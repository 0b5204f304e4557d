//! The simulators over real HTTP on loopback: the target in this process, the source against a small API made for it.

#[cfg(test)]
mod http;
#[cfg(test)]
mod api;
#[cfg(test)]
mod target;
#[cfg(test)]
mod source;
