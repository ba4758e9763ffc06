"""The array itself: what it is, its ports, its room and its load."""


def run(run):
    client = run.client
    array = run.one(client.get_arrays())
    run.same(array.os, "Purity//FA")
    run.check(array.version.count(".") == 2, f"version {array.version}")
    # Cinder refuses anything older.
    run.check(tuple(map(int, array.version.split("."))) >= (6, 1, 0), array.version)
    space = run.one(client.get_arrays_space())
    run.check(0 <= space.space.total_physical <= space.capacity, "space in use")
    start = {"start_time": 1_700_000_000_000, "end_time": 1_700_003_600_000, "resolution": 300_000}
    run.check(isinstance(run.ok(client.get_arrays_space(**start)), list), "history of space")
    load = run.one(client.get_arrays_performance())
    run.check(load.queue_depth >= 0 and load.usec_per_read_op >= 0, "load")
    run.check(isinstance(run.ok(client.get_arrays_performance(**start)), list), "history of load")
    run.ok(client.get_arrays_performance(protocol="all"))
    controllers = run.ok(client.get_controllers())
    run.same([item.name for item in controllers], ["CT0", "CT1"])
    run.same({item.status for item in controllers}, {"ready"})
    run.same(sorted(item.mode for item in controllers), ["primary", "secondary"])
    run.same(run.one(client.get_controllers(filter="mode='primary'")).name, "CT0")
    run.check("CT0" in run.names(client.get_hardware()), "hardware, a client's first call")
    ports(run)
    interfaces(run)


def ports(run):
    client = run.client
    ports = run.ok(client.get_ports())
    iscsi = [port.to_dict() for port in ports if "iqn" in port.to_dict()]
    run.check(iscsi, "iSCSI ports")
    run.same(len({port["iqn"] for port in iscsi}), 1, "all iSCSI ports share one name")
    run.check(all(port["portal"].rpartition(":")[2] == "3260" for port in iscsi), "portals")
    wwns = [port.wwn for port in ports if "wwn" in port.to_dict()]
    run.check(wwns and all(len(wwn) == 23 and wwn == wwn.upper() for wwn in wwns), f"{wwns}")
    nvme = [port.to_dict() for port in ports if "nqn" in port.to_dict()]
    run.check(nvme and all(port["nqn"].startswith("nqn.") for port in nvme), "NVMe ports")
    run.check(all(port.name == port.name.upper() for port in ports), "names of ports")
    one = run.one(client.get_ports(names=[ports[0].name]))
    run.same(one.name, ports[0].name)
    run.same(run.names(client.get_ports(filter=f"iqn='{iscsi[0]['iqn']}'")),
             [port["name"] for port in iscsi])
    run.same(client.get_ports(names=["CT9.ETH99"]).status_code, 400, "no such port")


def interfaces(run):
    if run.minor < 26:
        return  # not in 2.2
    client = run.client
    ports = set(run.names(client.get_ports()))
    interfaces = run.ok(client.get_network_interfaces())
    names = {item.name.upper() for item in interfaces}
    run.check(ports <= names, "every port is an interface, its name in lower case")
    for item in interfaces:
        if item.interface_type == "eth" and "iscsi" in item.services:
            run.check(item.eth.subtype == "physical" and item.eth.address, f"eth of {item.name}")
        if item.interface_type == "fc":
            run.check(item.fc.wwn, f"fc of {item.name}")
    found = run.names(client.get_network_interfaces(filter="services='iscsi' and enabled"))
    run.check(found, "interfaces by service")
