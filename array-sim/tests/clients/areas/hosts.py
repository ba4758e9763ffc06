"""Hosts, host groups, and who is connected to what."""

from harness import MIB

IQN = "iqn.1994-05.com.redhat:node-1"
NQN = "nqn.2014-08.org.nvmexpress:uuid:6f0f7ef4-3c5e-4b0c-9f57-4f0f4a4e8a10"
WWN = "52:4A:93:7A:BC:DE:F0:01"


def run(run):
    hosts(run)
    groups(run)
    connections(run)
    leave(run)


def hosts(run):
    client, post = run.client, lambda **values: run.model("HostPost", **values)
    make = lambda name, /, **values: client.post_hosts(names=[name], host=post(**values))
    chap = run.model("Chap", host_user="user", host_password="secret-of-16-char",
                     target_user="array", target_password="another-of-16-chr")
    first = run.one(make("h1", iqns=[IQN], personality="esxi", chap=chap))
    run.same((first.name, first.iqns, first.personality, first.is_local),
             ("h1", [IQN], "esxi", True))
    run.same((first.chap.host_user, first.chap.host_password, first.chap.target_password),
             ("user", "****", "****"), "secrets are masked")
    run.check("secret" not in str(run.one(client.get_hosts(names=["h1"]))), "secrets are not told")
    run.same(run.one(make("h2", wwns=[WWN.replace(":", "").lower()])).wwns, [WWN])
    run.same(run.one(make("h3", nqns=[NQN])).nqns, [NQN])
    run.same(run.one(make("h4")).to_dict()["host_group"], {})
    run.refused(make("H1"), "Host already exists.", "h1")
    run.refused(make("h5", iqns=[IQN]), "The specified initiator is already in use.", IQN)
    run.same(make("a_b").status_code, 400, "an underscore in a host's name")
    run.refused(client.get_hosts(names=["none"]), "Host does not exist.", "none")
    for text, names in {
        f"iqns='{IQN}'": ["h1"], f"wwns='{WWN}'": ["h2"], f"wwns=('{WWN}','x')": ["h2"],
        f"nqns='{NQN}'": ["h3"], "iqns='none'": [], "is_local and name='h*'": ["h1", "h2", "h3", "h4"],
        "not is_local": [], "personality='esxi'": ["h1"], "name='h1' or name='h4'": ["h1", "h4"],
    }.items():
        run.same(run.names(client.get_hosts(filter=text)), names, f"filter {text}")
    change = lambda name, /, **values: client.patch_hosts(
        names=[name], host=run.model("HostPatch", **values))
    both = run.one(change("h4", add_iqns=["iqn.2020-01.org:a", "iqn.2020-01.org:b"]))
    run.same(len(both.iqns), 2)
    run.same(run.one(change("h4", remove_iqns=["iqn.2020-01.org:a"])).iqns, ["iqn.2020-01.org:b"])
    run.same(run.one(change("h4", iqns=[])).iqns, [])
    run.same(run.one(change("h4", name="h4-new")).name, "h4-new")
    run.refused(change("h4", name="x"), "Host does not exist.", "h4")
    run.ok(client.delete_hosts(names=["h4-new"]))
    run.same(run.names(client.get_hosts(sort=["name-"], limit=2)), ["h3", "h2"])
    if run.minor >= 16:
        run.same(run.one(change("h1", vlan="any")).vlan, "any")


def groups(run):
    client = run.client
    run.same(run.one(client.post_host_groups(names=["cluster"])).host_count, 0)
    run.refused(client.post_host_groups(names=["Cluster"]), "Host group already exists.", "cluster")
    run.refused(client.get_host_groups(names=["none"]), "Host group does not exist.", "none")
    members = client.post_hosts_host_groups(group_names=["cluster"], member_names=["h1", "h2"])
    run.same([item.member.name for item in run.ok(members)], ["h1", "h2"])
    listed = run.ok(client.get_host_groups_hosts(group_names=["cluster"]))
    run.same([(item.group.name, item.member.name) for item in listed],
             [("cluster", "h1"), ("cluster", "h2")])
    run.same(run.one(client.get_hosts(names=["h1"])).host_group.name, "cluster")
    run.same(run.one(client.get_host_groups(names=["cluster"])).host_count, 2)
    patch = run.model("HostGroupPatch", name="cluster-1")
    run.same(run.one(client.patch_host_groups(names=["cluster"], host_group=patch)).name, "cluster-1")
    run.same(run.names(client.get_hosts(filter="host_group.name='cluster-1'")), ["h1", "h2"])


def connections(run):
    client = run.client
    volumes = ["conn-1", "conn-2", "conn-3"]
    run.ok(client.post_volumes(names=volumes, volume=run.model("VolumePost", provisioned=MIB)))
    connect = lambda volume, host, **more: client.post_connections(
        volume_names=[volume], host_names=[host], **more)
    made = run.one(connect("conn-1", "h1"))
    run.same((made.host.name, made.volume.name, made.lun), ("h1", "conn-1", 1))
    run.same(made.to_dict()["protocol_endpoint"], {})
    lun = run.model("ConnectionPost", lun=7)
    run.same(run.one(connect("conn-2", "h1", connection=lun)).lun, 7)
    run.refused(connect("conn-3", "h1", connection=lun), "LUN 7 is already in use.", "conn-3")
    run.refused(connect("conn-1", "h1"), "Connection already exists.", "conn-1")
    run.refused(connect("none", "h1"), "Volume does not exist.", "none")
    run.refused(connect("conn-1", "none"), "Host does not exist.", "none")
    shared = run.ok(client.post_connections(
        volume_names=["conn-3"], host_group_names=["cluster-1"]))
    run.same({item.lun for item in shared}, {254}, "LUN of a shared connection")
    run.same({item.host_group.name for item in shared}, {"cluster-1"})
    nvme = run.one(connect("conn-2", "h3"))
    run.same("lun" in nvme.to_dict(), False, "a LUN of an NVMe host")
    if run.minor >= 38:
        run.check(nvme.nsid >= 1, "an NVMe host's namespace id")
    of_host = run.ok(client.get_connections(host_names=["h1"], sort=["lun"]))
    run.same([(item.volume.name, item.lun) for item in of_host],
             [("conn-1", 1), ("conn-2", 7), ("conn-3", 254)])
    of_both = client.get_connections(host_names=["h1"], volume_names=["conn-2"])
    run.same(run.one(of_both).lun, 7)
    run.same(run.ok(client.get_connections(host_names=["h3"], volume_names=["conn-1"])), [])
    run.refused(client.get_connections(volume_names=["none"]), "Volume does not exist.", "none")
    run.same(len(run.ok(client.get_connections(filter="volume.name='conn-*'"))), 5)
    run.same(run.one(client.get_volumes(names=["conn-2"])).connection_count, 2)
    run.same(run.one(client.get_hosts(names=["h1"])).connection_count, 3)
    if run.minor >= 26:
        by_id = client.get_connections(volume_ids=[made.volume.id])
        run.same(run.one(by_id).host.name, "h1")


def leave(run):
    client = run.client
    cut = lambda volume, host: client.delete_connections(volume_names=[volume], host_names=[host])
    run.refused(client.delete_hosts(names=["h3"]),
                "Host cannot be deleted due to existing connections.", "h3")
    run.ok(cut("conn-1", "h1"))
    run.refused(cut("conn-1", "h1"), "Connection does not exist.", "conn-1")
    gone = run.model("VolumePatch", destroyed=True)
    run.one(client.patch_volumes(names=["conn-1"], volume=gone))
    run.refused(cut("conn-1", "h1"), "Volume has been destroyed.", "conn-1")
    run.refused(client.post_connections(volume_names=["conn-1"], host_names=["h1"]),
                "Volume has been destroyed.", "conn-1")
    run.ok(client.delete_connections(volume_names=["conn-3"], host_group_names=["cluster-1"]))
    run.ok(client.delete_hosts_host_groups(group_names=["cluster-1"], member_names=["h1", "h2"]))
    run.ok(client.delete_host_groups(names=["cluster-1"]))
    for volume, host in (("conn-2", "h1"), ("conn-2", "h3")):
        run.ok(cut(volume, host))
    run.ok(client.delete_hosts(names=["h1", "h2", "h3"]))
    run.same(run.ok(client.get_hosts()), [])
