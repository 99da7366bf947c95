//! The network between one of three replicas and the database swallows everything, in the middle of a step: no late effect,
//! another replica goes on, and the one that was cut off comes back.

use crate::experiments::rig;
use crate::replicas::says;
use crate::replicas::skip;
use crate::replicas::try_post;
use crate::support::network;
use crate::support::network::Cable;
use crate::support::postgres::Server;
use crate::support::quell::Quell;
use crate::support::wait;

#[tokio::test]
async fn a_replica_that_is_cut_off_from_the_database_does_nothing_late() {
    if let Some(why) = network::refused() {
        return skip("the partition", &why);
    }
    let mut server = Server::prepare("127.0.0.1", &["unshare", "--net", "--"]);
    server.launch();
    let namespace = wait::until("its namespace is its own", wait::PATIENCE, async || {
        let pid = server.process().pid();
        let of = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net"));
        let (here, there) =
            (of(rustix::process::getpid().as_raw_nonzero().get()), of(pid.as_raw_nonzero().get()));
        if here.unwrap() == there.unwrap() { Err("not yet") } else { Ok(pid) }
    })
    .await;
    let (cable, others) = (Cable::to(namespace), Cable::to(namespace));
    server.is_found_at(&others.address);
    server.is_ready().await;
    let mut rig = super::rig(&server.url_at(&cable.address, server.port()), "2s").await;
    rig.plant.sicken("a");
    rig.plant.gate().shut();
    let short = |quell: Quell| quell.with_env("QUELL_LEASE_MARGIN_MS", "6000");
    let mut cut_off = short(rig.quell());
    cut_off.serve().await;
    rig::post(&cut_off, "firing", "a").await;
    rig.plant.affected(1).await;
    rig.config["storage"] = server.url().into();
    let mut heirs = [short(rig.quell()), short(rig.quell())];
    for heir in &mut heirs {
        heir.serve().await;
    }

    cable.cut();
    // its answer comes while it can tell nobody
    rig.plant.gate().open();
    says(&cut_off, "performed").await;
    says(&cut_off, "the database cannot be used: ").await;
    let (status, body) = try_post(&cut_off, "b").await;
    assert_eq!(status, 503, "{body:#}");
    // whether it happened only the one knows who is cut off
    rig::until_runs(&heirs[0], &["r-1 restart in doubt"]).await;
    let answered = heirs[1].cli(&["answer", "r-1", "happened"]).await;
    assert_eq!(answered.code, 0, "{answered:#?}");
    rig::until_runs(&heirs[0], &["r-1 restart fixed"]).await;

    cable.mend();
    says(&cut_off, "the database can be used again").await;
    // it works as the others do
    for heir in &mut heirs {
        assert!(heir.stop().await.success());
    }
    rig.plant.sicken("b");
    super::post_until_taken(&cut_off, "b").await;
    rig::until_runs(&cut_off, &["r-1 restart fixed", "r-2 restart fixed"]).await;
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1), ("r-2/1".to_owned(), 1)].into());
    rig::audit_holds(&cut_off).await;
}
