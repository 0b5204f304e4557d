//! The pictures of the console in the README, taken of a system that has been at work for two minutes.

use std::path::Path;
use std::time::Duration;

use super::browser::Scheme;
use super::scene::{FAILING, REFUSED, STUMBLING, Scene, TAKEN};
use crate::support::{busy, until};

/// How many events come in each second: some, then more than the target takes, then few.
const ARRIVALS: [(u32, u32); 3] = [(45, 3), (40, 8), (25, 3)];
/// As wide as a README shows a picture without making it much smaller.
const WIDTH: u32 = 1040;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes files that are in the repository; takes two minutes"]
async fn pictures_of_the_readme() {
    let machine = busy().await;
    let scene = Scene::set(5).await;
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    scene.enter().await;
    scene.browser.look(WIDTH, Scheme::Light).await;
    scene.send("payment-2041", STUMBLING).await;
    until("it is delivered", async || scene.source.look_up("payment-2041").await.unwrap_or_default()["state"] == "delivered").await;
    scene.open("events/source-1/payment-2041").await;
    scene.browser.picture(&images.join("console-event.png")).await;
    scene.open("").await;
    scene.send("stock-17", FAILING).await;
    let mut number = 7_000;
    for (seconds, each) in ARRIVALS {
        for _ in 0..seconds {
            for _ in 0..each {
                number += 1;
                scene.send(&format!("order-{number}"), if number % 200 == 0 { REFUSED } else { TAKEN }).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    scene.browser.reads("[data-live-status]", "live").await;
    scene.browser.picture(&images.join("console-overview.png")).await;
    scene.browser.close().await;
    drop(machine);
}
