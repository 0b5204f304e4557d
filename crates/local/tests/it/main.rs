//! The whole system as processes: started as a user starts them, spoken to over HTTP, killed, and judged by what the
//! target recorded.

#[cfg(test)]
mod account;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod console;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod jaeger;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod separate;
#[cfg(test)]
mod prepare;
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod simulators;
#[cfg(test)]
mod spool;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
