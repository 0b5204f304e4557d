//! Laws of accounts.

use events_proxy_core::{Moment, SourceId};
use storage::{Account, Change, Error, Rotated};

use crate::ground::Ground;
use crate::sessions::{opening, rotation};

fn account(id: &str, brand: Option<&str>) -> Account {
    Account {
        id: SourceId::new(id),
        auth_id: format!("{id}@example.com"),
        secret_hash: format!("$2b$12${id}"),
        brand: brand.map(str::to_owned),
    }
}

pub(crate) async fn an_account_is_found_by_what_it_logs_in_with(ground: &Ground) {
    let shop = account("shop", Some("ours"));
    ground.store.put_account(&shop).await.unwrap();
    assert_eq!(ground.store.account("shop@example.com").await.unwrap(), Some(shop));
    assert_eq!(ground.store.account("shop").await.unwrap(), None);
}

pub(crate) async fn an_account_put_again_is_replaced(ground: &Ground) {
    ground.store.put_account(&account("shop", Some("ours"))).await.unwrap();
    let changed = Account { auth_id: "till".to_owned(), secret_hash: "$2b$12$other".to_owned(), ..account("shop", None) };
    ground.store.put_account(&changed).await.unwrap();
    assert_eq!(ground.store.account("shop@example.com").await.unwrap(), None);
    assert_eq!(ground.store.account("till").await.unwrap(), Some(changed));
}

pub(crate) async fn two_accounts_never_share_a_log_in(ground: &Ground) {
    ground.store.put_account(&account("shop", None)).await.unwrap();
    let thief = Account { auth_id: "shop@example.com".to_owned(), ..account("thief", None) };
    assert!(matches!(ground.store.put_account(&thief).await, Err(Error::Refused(_))));
    assert_eq!(ground.store.account("shop@example.com").await.unwrap(), Some(account("shop", None)));
}

pub(crate) async fn only_accounts_with_a_brand_are_listed_with_one(ground: &Ground) {
    for (id, brand) in [("a", Some("x")), ("b", None), ("c", Some("z"))] {
        ground.store.put_account(&account(id, brand)).await.unwrap();
    }
    let expected = [(SourceId::new("a"), "x".to_owned()), (SourceId::new("c"), "z".to_owned())].into();
    assert_eq!(ground.store.brands().await.unwrap(), expected);
}

pub(crate) async fn an_account_is_added_once_and_listed_without_its_secret(ground: &Ground) {
    let store = &ground.store;
    for id in ["b", "a"] {
        assert!(store.add_account(&account(id, Some("ours"))).await.unwrap());
    }
    let other = Account { auth_id: "other".to_owned(), ..account("a", None) };
    assert!(!store.add_account(&other).await.unwrap(), "its id is taken");
    let thief = Account { auth_id: "a@example.com".to_owned(), ..account("thief", None) };
    assert!(matches!(store.add_account(&thief).await, Err(Error::Refused(_))), "its log-in is taken");
    assert_eq!(store.account("a@example.com").await.unwrap(), Some(account("a", Some("ours"))));
    let ids = async |behind, most| -> Vec<String> {
        store.accounts(behind, most).await.unwrap().into_iter().map(|listed| listed.id.as_str().to_owned()).collect()
    };
    assert_eq!(ids(None, 10).await, ["a", "b"]);
    assert_eq!(ids(None, 1).await, ["a"]);
    assert_eq!(ids(Some(&SourceId::new("a")), 10).await, ["b"]);
}

pub(crate) async fn a_disabled_account_neither_logs_in_nor_refreshes_until_it_is_enabled(ground: &Ground) {
    let (store, id, at) = (&ground.store, SourceId::new("shop"), Moment::from_micros(5_000_000));
    store.put_account(&account("shop", None)).await.unwrap();
    store.open_session(&opening("before", 1)).await.unwrap();
    for moment in [at, Moment::from_micros(9_000_000)] {
        assert!(store.change_account(&id, Change::Disable, moment).await.unwrap());
    }
    assert_eq!(store.account("shop@example.com").await.unwrap(), None);
    assert_eq!(store.accounts(None, 10).await.unwrap()[0].disabled_at, Some(at), "since the first time");
    store.put_account(&account("shop", Some("ours"))).await.unwrap();
    assert_eq!(store.account("shop@example.com").await.unwrap(), None, "the settings do not enable it");
    store.open_session(&opening("meanwhile", 2)).await.unwrap();
    for token in [1, 2] {
        assert_eq!(store.rotate(&rotation(token, token + 10, at)).await.unwrap(), Rotated::Reused, "session {token}");
    }
    assert!(store.change_account(&id, Change::Enable, at).await.unwrap());
    assert!(store.account("shop@example.com").await.unwrap().is_some());
    assert_eq!(store.rotate(&rotation(2, 13, at)).await.unwrap(), Rotated::Reused, "what was ended stays so");
}

pub(crate) async fn a_secret_is_changed_alone_and_sessions_are_ended_alone(ground: &Ground) {
    let (store, id, at) = (&ground.store, SourceId::new("shop"), Moment::from_micros(5_000_000));
    store.put_account(&account("shop", Some("ours"))).await.unwrap();
    store.open_session(&opening("one", 1)).await.unwrap();
    assert!(store.change_account(&id, Change::Secret("$2b$12$new".to_owned()), at).await.unwrap());
    let changed = Account { secret_hash: "$2b$12$new".to_owned(), ..account("shop", Some("ours")) };
    assert_eq!(store.account("shop@example.com").await.unwrap(), Some(changed));
    assert!(matches!(store.rotate(&rotation(1, 2, at)).await.unwrap(), Rotated::Done(_)), "sessions go on");
    assert!(store.change_account(&id, Change::EndSessions, at).await.unwrap());
    assert_eq!(store.rotate(&rotation(2, 3, at)).await.unwrap(), Rotated::Reused);
    for change in [Change::Disable, Change::Enable, Change::EndSessions, Change::Secret("$2b$12$x".to_owned())] {
        assert!(!store.change_account(&SourceId::new("nobody"), change, at).await.unwrap());
    }
}
