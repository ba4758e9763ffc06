"""The load and room of each kind of object, one line for each at this moment."""

from harness import MIB


def run(run):
    client = run.client
    run.ok(client.post_volumes(
        names=["busy", "quiet"], volume=run.model("VolumePost", provisioned=MIB)))
    lines = run.ok(client.get_volumes_performance(names=["busy", "quiet"]))
    run.same([line.name for line in lines], ["busy", "quiet"])
    run.check(all(line.time > 1_600_000_000_000 for line in lines), "time in milliseconds")
    figures = {"reads_per_sec": 1500, "writes_per_sec": 20, "usec_per_read_op": 300}
    run.control.post("settings", {"volumes": {"busy": {"performance": figures}}}, "PATCH")
    line = run.one(client.get_volumes_performance(names=["busy"]))
    run.same((line.reads_per_sec, line.writes_per_sec, line.usec_per_read_op), (1500, 20, 300))
    quiet = run.one(client.get_volumes_performance(names=["quiet"]))
    run.same(quiet.reads_per_sec, 0)
    worst = client.get_volumes_performance(sort=["reads_per_sec-"], limit=1)
    run.same(run.one(worst).name, "busy")
    history = {"start_time": 1_700_000_000_000, "end_time": 1_700_003_600_000}
    run.ok(client.get_volumes_performance(names=["busy"], resolution=30_000, **history))
    run.check(client.get_volumes_performance(total_only=True).total, "a total")
    run.refused(client.get_volumes_performance(names=["none"]), "Volume does not exist.", "none")
    host = run.model("HostPost", iqns=["iqn.2020-01.org.example:busy"])
    run.one(client.post_hosts(names=["busy-host"], host=host))
    run.ok(client.post_connections(volume_names=["busy"], host_names=["busy-host"]))
    run.same(run.one(client.get_hosts_performance(names=["busy-host"])).name, "busy-host")
    room = run.one(client.get_hosts_space(names=["busy-host"]))
    run.same((room.name, room.space.total_provisioned), ("busy-host", MIB))
    run.ok(client.post_host_groups(names=["busy-group"]))
    run.same(run.one(client.get_host_groups_performance(names=["busy-group"])).name, "busy-group")
    run.same(run.one(client.get_host_groups_space(names=["busy-group"])).name, "busy-group")
    initiators = run.ok(client.get_ports_initiators())
    run.check(any(one.to_dict().get("initiator", {}).get("iqn", "").endswith(":busy")
                  for one in initiators), "the initiator of a connected host")
    run.ok(client.delete_connections(volume_names=["busy"], host_names=["busy-host"]))
    run.ok(client.delete_hosts(names=["busy-host"]))
    run.ok(client.delete_host_groups(names=["busy-group"]))
