//! Laws of accounts.

use events_proxy_core::SourceId;
use storage::{Account, Error};

use crate::ground::Ground;

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
