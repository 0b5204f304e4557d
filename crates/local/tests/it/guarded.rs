//! Brokers and a database that want TLS and a password: who proves it gets in, and nobody is believed who does not.

use std::path::Path;

use crate::support::{Process, Services, Source, Target, alone, free_port, services, told, until};

/// What Kafka's user has for a password.
const PASSWORD: &str = "of-the-proxy";

/// The settings for servers that are guarded, logging in by that mechanism with that password.
fn settings(services: &Services, (mechanism, password): (&str, &str)) -> Vec<(&'static str, String)> {
    let database = format!("{}?sslmode=verify-full&sslrootcert={}", services.database(), told("TEST_CA_FILE"));
    let mut settings = services.shared();
    settings.retain(|(name, _)| !["QUEUE_URL", "USER_REPOSITORY_URL"].contains(name));
    settings.extend([
        ("QUEUE_URL", told("TEST_GUARDED_KAFKA_URL")),
        ("QUEUE_TLS", "true".to_owned()),
        ("QUEUE_SASL_MECHANISM", mechanism.to_owned()),
        ("QUEUE_SASL_USERNAME", "proxy".to_owned()),
        ("QUEUE_SASL_PASSWORD", password.to_owned()),
        ("USER_REPOSITORY_URL", database),
        ("SSL_CERT_FILE", told("TEST_CA_FILE")),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "1000".to_owned()),
    ]);
    settings
}

/// Starts one of the two programs.
fn start(name: &'static str, directory: &Path, settings: &[(&'static str, String)], target: &Target) -> (Process, u16) {
    let port = free_port();
    let own = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("SPOOL_DIR", directory.join("spool").display().to_string()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
    ];
    (Process::start(name, directory, &[settings, &own].concat(), &[]), port)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers that want TLS and a password: infra/check/transport"]
async fn an_event_goes_through_servers_that_want_tls_and_a_password() {
    let machine = alone().await;
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        let (directory, services) = (tempfile::tempdir().unwrap(), services().await);
        let target = Target::start(directory.path(), 1_000);
        let settings = settings(&services, (mechanism, PASSWORD));
        let (_ingest, port) = start("ingest", directory.path(), &settings, &target);
        let (_dispatcher, _) = start("dispatcher", directory.path(), &settings, &target);
        let source = Source::log_in(port).await;
        let accepted = source.send_all(mechanism, 0..20, 4).await;
        assert_eq!(accepted.len(), 20);
        target.receives(&accepted).await;
    }
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers that want TLS and a password: infra/check/transport"]
async fn brokers_that_prove_nothing_and_false_passwords_leave_events_in_the_spool() {
    let machine = alone().await;
    let falsely = [(PASSWORD, "TEST_OTHER_CA_FILE", "UnknownIssuer"), ("a guess", "TEST_CA_FILE", "uthenticat")];
    for (password, authority, told_as) in falsely {
        let (directory, services) = (tempfile::tempdir().unwrap(), services().await);
        let target = Target::start(directory.path(), 1_000);
        let mut settings = settings(&services, ("SCRAM-SHA-512", password));
        for (_, value) in settings.iter_mut().filter(|(name, _)| *name == "SSL_CERT_FILE") {
            *value = told(authority);
        }
        let (ingest, port) = start("ingest", directory.path(), &settings, &target);
        let source = Source::log_in(port).await;
        assert_eq!(source.send("kept", None).await, Some(202), "the spool needs no broker");
        until("ingest tells why", async || ingest.written().contains(told_as)).await;
        assert!(!ingest.written().contains(password), "a password is told");
        drop(ingest);
        // With what is right, what was kept goes on.
        let right = self::settings(&services, ("SCRAM-SHA-512", PASSWORD));
        let (_ingest, _) = start("ingest", directory.path(), &right, &target);
        let (_dispatcher, _) = start("dispatcher", directory.path(), &right, &target);
        target.receives(&["kept".to_owned()].into()).await;
    }
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers that want TLS and a password: infra/check/transport"]
async fn a_database_that_proves_nothing_is_not_spoken_to() {
    let machine = alone().await;
    let (directory, services) = (tempfile::tempdir().unwrap(), services().await);
    let target = Target::start(directory.path(), 1_000);
    let mut settings = settings(&services, ("SCRAM-SHA-512", PASSWORD));
    for (_, value) in settings.iter_mut().filter(|(name, _)| *name == "USER_REPOSITORY_URL") {
        *value = value.replace(&told("TEST_CA_FILE"), &told("TEST_OTHER_CA_FILE"));
    }
    let (mut dispatcher, _) = start("dispatcher", directory.path(), &settings, &target);
    until("the dispatcher tells why", async || dispatcher.written().contains("UnknownIssuer")).await;
    assert!(dispatcher.end("TERM").await.success());
    drop(machine);
}
