"""The part of scripts/bench overlay about one node: following many others, and connecting pods.

CPU time is the process's own clock (clock_getcpuclockid(3)): user and kernel, all threads, in nanoseconds.
As a program, inside a host: `bench_nodes.py plugins COUNT FILE…` calls chains of CNI plugins, `bench_nodes.py batches …`
programs of iproute2, and both print what they cost as JSON.
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

def pods_by_agent(bed, host, count, work):
    """CPU of the agent for a pod with a network of its own, and with the host's: start and removal together."""
    bed.on(host, SWIFTLET, "image", "import", "--name", "bench.test/pod:1", f"{work}/layout")
    agent = Agent(bed, host, work)
    costs = {False: [], True: []}
    for number in range(-4, count * 2):
        shared = number % 2 == 1
        pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench"},
            "spec": {"hostNetwork": shared, "terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": "bench.test/pod:1", "command": ["sleep", "1000"]}]},
        }
        write(f"{work}/pod.json", json.dumps(pod))
        before = cpu_of(agent.pid)
        bed.on(host, SWIFTLET, "pod", "run", f"{work}/pod.json")
        bed.on(host, SWIFTLET, "pod", "rm", "-f", "bench")
        if number >= 0:
            costs[shared].append(cpu_of(agent.pid) - before)
    agent.stop()
    bed.on(host, SWIFTLET, "reset", "--yes")
    return statistics.median(costs[False]), statistics.median(costs[True])


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


def chain(name, plugins, count):
    """ADD and DEL of the whole chain, `count` times: medians of CPU and wall time."""
    costs = []
    for number in range(count):
        total, result = [0.0, 0.0, 0.0, 0.0], None
        for at, command in ((0, "ADD"), (2, "DEL")):
            for path, configuration in plugins if command == "ADD" else reversed(plugins):
                full = dict(configuration, cniVersion="1.0.0", name=name)
                if result:
                    full["prevResult"] = json.loads(result)
                said, cpu, wall = call(path, command, number, full)
                result = said if command == "ADD" else result
                total[at] += cpu
                total[at + 1] += wall
        costs.append(total)
    return [statistics.median(column) for column in zip(*costs)]


def bare(count):
    """The kernel's part of a pod's connection, by ip(8) with its own start subtracted: the kernel's CPU for ADD and DEL."""
    def cost(*command, input=""):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime
        subprocess.run(command, input=input, text=True, check=True)
        return (resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime - before) * 1000

    host = "\n".join(
        f"link add bare{n} type veth peer name eth0 netns bench{n}\nlink set bare{n} up\n"
        f"address add 10.98.0.1/32 dev bare{n}\nroute add 10.98.{n // 250}.{2 + n % 250} dev bare{n}" for n in range(count))
    inside = 0.0
    start = statistics.median(cost("ip", "-n", "bench0", "-batch", "-") for _ in range(20))
    total = cost("ip", "-batch", "-", input=host) - start
    for n in range(count):
        inside += cost("ip", "-n", f"bench{n}", "-batch", "-", input=(
            f"link set lo up\nlink set eth0 up\naddress add 10.98.{n // 250}.{2 + n % 250}/32 dev eth0\n"
            "route add 10.98.0.1 dev eth0\nroute add default via 10.98.0.1 dev eth0")) - start
    gone = cost("ip", "-batch", "-", input="\n".join(f"link del bare{n}" for n in range(count))) - start
    return (total + inside) / count, gone / count


def connections(bed, host, count, work):
    own, shared = pods_by_agent(bed, host, count, work)
    plugin = f"{os.path.dirname(SWIFTLET)}/swiftlet-cni"
    chains = [("bridge, host-local, portmap (Debian)", [
        ("/usr/lib/cni/bridge", {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "ipam": {
            "type": "host-local", "ranges": [[{"subnet": "10.97.0.0/16"}]], "dataDir": "/run/bench-ipam"}}),
        ("/usr/lib/cni/portmap", {"type": "portmap", "capabilities": {"portMappings": True}}),
    ])]
    if os.access(plugin, os.X_OK):
        chains.insert(0, ("swiftlet-cni", [(plugin, {
            "type": "swiftlet-cni", "subnets": ["10.96.0.0/16"], "capabilities": {"portMappings": True}})]))
    said = bed.on(host, sys.executable, os.path.abspath(__file__), str(count), json.dumps(chains))
    found = json.loads(said)
    print(f"\n### A pod's connection, {count} times\n")
    print(f"The agent's CPU for a pod from start to removal, medians: {own:.2f} ms with a network of its own, {shared:.2f} ms"
          f" with the host's. The connection is the difference: {own - shared:.2f} ms, the kernel's work included. The"
          f" kernel alone, asked by ip(8): {sum(found['bare']):.2f} ms.\n")
    print("| | ADD, CPU | ADD, time | DEL, CPU | DEL, time |\n| --- | --- | --- | --- | --- |")
    for name, _ in chains:
        add, add_time, gone, gone_time = found[name]
        print(f"| {name} | {add:.2f} ms | {add_time:.2f} ms | {gone:.2f} ms | {gone_time:.2f} ms |")


def main():
    """Inside a host: everything that is called there."""
    count, chains = int(sys.argv[1]), json.loads(sys.argv[2])
    for number in range(count):
        subprocess.run(["ip", "netns", "add", f"bench{number}"], check=True)
    found = {"bare": bare(count)}
    for name, plugins in chains:
        found[name] = chain("bench", plugins, count)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
