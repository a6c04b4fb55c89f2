use super::*;

#[test]
fn addresses_name_members_and_hold_no_password() {
    let with = |address| EtcdStorage::with(address, &Environment::of(&[]));
    let storage = with("etcd://one,two:23790/here/").unwrap();
    assert_eq!(storage.key("version"), "here/version");
    assert_eq!(with("etcds://[::1]:1").unwrap().key("x"), "portcullis/acme/x");
    let error = with("etcd://root:s3cret@127.0.0.1").unwrap_err();
    assert!(error.contains("PORTCULLIS_ACME_ETCD_PASSWORD") && !error.contains("s3cret"));
    for bad in ["etcd://", "etcd://a,,b", "etcd://a b"] {
        assert!(with(bad).unwrap_err().contains("etcd://host:2379"), "{bad}");
    }
    let shown = EtcdStorage::with(
        "etcd://a",
        &Environment::of(&[
            ("PORTCULLIS_ACME_ETCD_USERNAME", "root"),
            ("PORTCULLIS_ACME_ETCD_PASSWORD", "s3cret"),
        ]),
    );
    assert!(!format!("{shown:?}").contains("s3cret"));
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_address() {
    let storage = EtcdStorage::new("etcd://127.0.0.1:1,127.0.0.1:2").unwrap();
    let error = storage.version().await.unwrap_err().to_string();
    assert!(error.contains("etcd://127.0.0.1:1,127.0.0.1:2"), "{error}");
}

#[test]
fn ranges_end_after_all_that_begin_alike() {
    assert_eq!(json::after_all_with(b"a/"), b"a0");
    assert_eq!(json::after_all_with(&[1, 0xff]), [2]);
    assert_eq!(json::after_all_with(&[0xff]), [0]);
}
