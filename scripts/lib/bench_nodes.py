"""The part of scripts/bench overlay about one node: following many others, and connecting pods.

CPU time is the process's own clock (clock_getcpuclockid(3)): user and kernel, all threads, in nanoseconds.
As a program, inside a host: `bench_nodes.py COUNT CHAINS` calls chains of CNI plugins and prints what they cost, as JSON.
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

SWIFTLET = os.environ.get("SWIFTLET_BINARY", "")


def cpu_of(pid):
    """Milliseconds of CPU that the process has used."""
    return time.clock_gettime(((~pid) << 3) | 2) * 1000


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1000


def settled(pid, quiet=0.15, limit=30):
    """Waits until the process has used next to nothing for `quiet` seconds; its CPU time then."""
    end, since, last = time.monotonic() + limit, time.monotonic(), cpu_of(pid)
    while time.monotonic() < end:
        time.sleep(0.01)
        used = cpu_of(pid)
        if used - last > 0.3:
            last, since = used, time.monotonic()
        elif time.monotonic() - since > quiet:
            return used
    sys.exit("bench: the agent never rests")


class Agent:
    def __init__(self, bed, host, work, *options):
        self.bed, self.host, self.work = bed, host, work
        self.top = f"{bed.state}/hosts/{host}"
        os.makedirs(f"{self.top}/manifests", exist_ok=True)
        self.log = f"{self.top}/bench.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*bed.entry(host), SWIFTLET, "node", "--manifests", f"{self.top}/manifests", "--node-name", host, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while " is ready" not in open(self.log).read():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("bench: the agent did not come up:\n" + open(self.log).read()[-2000:])
            time.sleep(0.02)
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            self.pid = int(file.read().split()[0])

    def stop(self):
        os.kill(self.pid, 15)
        self.process.wait(20)


def leases(host, count, moved=-1, times=0):
    """A file of `count` other nodes, one of which has moved that many times."""
    number = int(host[1:])
    nodes = [{"name": host, "publicIP": f"192.0.2.{10 + number}", "podCIDR": f"10.42.{number}.0/24"}]
    for n in range(count):
        last = 1 + n % 250 if n != moved else 251 + times % 2
        nodes.append({"name": f"node-{n}", "publicIP": f"198.18.{n // 250}.{last}",
                      "podCIDR": f"10.{100 + n // 250}.{n % 250}.0/24"})
    return json.dumps({"nodes": nodes})


def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def routes(bed, host):
    return len(bed.on(host, "ip", "route", "show", "proto", "95").splitlines())


def follow(bed, host, count, work, backend, changes=40):
    path = f"{work}/leases.json"
    write(path, leases(host, 0))
    agent = Agent(bed, host, work, "--overlay", backend, "--leases", path)
    # `ip monitor` says when each route was made, without asking anybody.
    stamps = f"{work}/stamps"
    with open(stamps, "w") as file:
        monitor = subprocess.Popen([*bed.entry(host), "ip", "-ts", "monitor", "route"], stdout=file)
    text = leases(host, count)
    before = settled(agent.pid)
    idle_from = time.monotonic()
    time.sleep(2)
    idle = (cpu_of(agent.pid) - before) / (time.monotonic() - idle_from)
    before = cpu_of(agent.pid)
    start = time.time()
    write(path, text)
    end = time.monotonic() + 60
    while routes(bed, host) < count:
        if time.monotonic() > end:
            sys.exit(f"bench: {routes(bed, host)} of {count} routes after a minute\n" + open(agent.log).read()[-2000:])
        time.sleep(0.2)
    empty = settled(agent.pid, quiet=1) - before
    lines = [line for line in open(stamps) if "proto 95" in line]
    stamp = lines[-1].split("]")[0].strip("[")
    seconds, fraction = stamp.split(".")
    last = time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)

    def cost_of(variants):
        costs = []
        for number in range(changes):
            before = settled(agent.pid)
            write(path, variants(number))
            while cpu_of(agent.pid) - before < 0.05:
                time.sleep(0.002)
            costs.append(settled(agent.pid) - before)
        return statistics.median(costs)

    reading = cost_of(lambda number: text + " " * (number + 1))
    moving = cost_of(lambda number: leases(host, count, moved=count // 2, times=number))
    monitor.kill()
    monitor.wait()
    agent.stop()
    bed.on(host, SWIFTLET, "reset", "--yes")
    return empty, (last - start) * 1000, reading, moving, idle


def by_hand(bed, host, count):
    """CPU of ip(8) and bridge(8), one process each, for the same neighbours, forwarding entries and routes."""
    number = int(host[1:])
    bed.on(host, "sh", "-ec", f"ip link add flannel.1 type vxlan id 1 local 192.0.2.{10 + number} dev uplink0 dstport 8472"
           f" nolearning; ip link set flannel.1 up; ip address add 10.42.{number}.0/32 dev flannel.1")
    neighbours, entries, ways = [], [], []
    for n in range(count):
        mac, pods = f"02:00:00:00:{n // 250:02x}:{n % 250:02x}", f"10.{100 + n // 250}.{n % 250}.0"
        neighbours.append(f"neigh add {pods} lladdr {mac} dev flannel.1 nud permanent")
        entries.append(f"fdb add {mac} dev flannel.1 dst 198.18.{n // 250}.{1 + n % 250}")
        ways.append(f"route add {pods}/24 via {pods} dev flannel.1 onlink")
    before = cpu_of_children()
    bed.on(host, "ip", "-batch", "-", input="\n".join(neighbours + ways))
    bed.on(host, "bridge", "-batch", "-", input="\n".join(entries))
    used = cpu_of_children() - before
    bed.on(host, "ip", "link", "del", "flannel.1")
    return used


def following(bed, host, count, work):
    print(f"\n### Following {count} nodes, a leases file of JSON\n")
    print("| | CPU of the agent, from none to all | until the last route | for reading a file that says the same again"
          " | for a file in which one node moved | so for the node | at rest |\n| --- | --- | --- | --- | --- | --- | --- |")
    for backend in ("vxlan", "tunnel"):
        empty, wall, reading, moving, idle = follow(bed, host, count, work, backend)
        print(f"| swiftlet, {backend} | {empty:.0f} ms | {wall:.0f} ms | {reading:.2f} ms | {moving:.2f} ms |"
              f" {moving - reading:.2f} ms | {idle:.2f} ms/s |")
    print(f"| ip and bridge, -batch | {by_hand(bed, host, count):.0f} ms | | | | | |")


# --- pods' connections ------------------------------------------------------------------------------------------------

def call(path, command, number, configuration):
    """One call of a plugin; what it said, CPU and wall time in milliseconds."""
    environment = dict(os.environ, CNI_COMMAND=command, CNI_CONTAINERID=f"bench{number}", CNI_IFNAME="eth0",
                       CNI_NETNS=f"/run/netns/bench{number}", CNI_PATH="/usr/lib/cni")
    before, start = cpu_of_children(), time.monotonic()
    done = subprocess.run([path], input=json.dumps(configuration), capture_output=True, text=True, env=environment)
    cost = cpu_of_children() - before, (time.monotonic() - start) * 1000
    if done.returncode != 0:
        sys.exit(f"bench: {path} {command}: {done.stdout}{done.stderr}")
    return done.stdout, *cost


def turn(plugins, number):
    """ADD and DEL of the whole chain for one pod: CPU and wall time of each."""
    total, result = [0.0, 0.0, 0.0, 0.0], None
    for at, command in ((0, "ADD"), (2, "DEL")):
        for path, configuration in plugins if command == "ADD" else reversed(plugins):
            full = dict(configuration, cniVersion="1.0.0", name="bench")
            if result:
                full["prevResult"] = json.loads(result)
            said, cpu, wall = call(path, command, number, full)
            result = said if command == "ADD" else result
            total[at] += cpu
            total[at + 1] += wall
    return total


def connections(bed, host, count):
    plugin = f"{os.path.dirname(SWIFTLET)}/swiftlet-cni"
    chains = [("bridge, host-local, portmap (Debian)", [
        ("/usr/lib/cni/bridge", {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "ipam": {
            "type": "host-local", "ranges": [[{"subnet": "10.97.0.0/16"}]], "dataDir": "/run/bench-ipam"}}),
        ("/usr/lib/cni/portmap", {"type": "portmap", "capabilities": {"portMappings": True}}),
    ])]
    if os.access(plugin, os.X_OK):
        chains.insert(0, ("swiftlet-cni", [(plugin, {
            "type": "swiftlet-cni", "subnets": ["10.96.0.0/16"], "capabilities": {"portMappings": True}})]))
    else:
        print(f"no {plugin}: scripts/build makes it", file=sys.stderr)
    said = bed.on(host, sys.executable, os.path.abspath(__file__), str(count), json.dumps(chains))
    found = json.loads(said)
    print(f"\n### A pod's connection by CNI plugins, medians of {count}\n")
    print("Without the cost of an agent or a runtime; what connecting a pod costs inside the agent, `scripts/bench connection`"
          " measures.\n")
    print("| | ADD, CPU | ADD, time | DEL, CPU | DEL, time |\n| --- | --- | --- | --- | --- |")
    for name, _ in chains:
        add, add_time, gone, gone_time = found[name]
        print(f"| {name} | {add:.2f} ms | {add_time:.2f} ms | {gone:.2f} ms | {gone_time:.2f} ms |")


def main():
    """Inside a host: everything that is called there."""
    count, chains = int(sys.argv[1]), json.loads(sys.argv[2])
    for number in range(count):
        subprocess.run(["ip", "netns", "add", f"bench{number}"], check=True)
    found = {name: [] for name, _ in chains}
    for number in range(count):
        for name, plugins in chains:
            found[name].append(turn(plugins, number))
    print(json.dumps({name: [statistics.median(column) for column in zip(*turns)] for name, turns in found.items()}))


if __name__ == "__main__":
    main()
