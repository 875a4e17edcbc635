import Resources
import Testing

@testable import PodEngine

/// /etc/hosts, /etc/hostname and /etc/resolv.conf of pods.
@Suite struct PodFilesTests {
    func pod(_ change: (inout PodSpec) -> Void = { _ in }) -> Pod {
        var spec = PodSpec(containers: [Container(name: "c", image: "i")])
        change(&spec)
        return Pod(metadata: ObjectMeta(name: "web-0", namespace: "shop"), spec: spec)
    }

    static let node = "# from dhcp\nnameserver 192.0.2.53\nsearch example.org\noptions timeout:1 rotate\n"

    @Test func aPodIsNamedAfterItselfUnlessItSaysOtherwise() {
        #expect(PodFiles.hostname(pod(), nodeName: "n", clusterDomain: "cluster.local").name == "web-0")
        let named = pod {
            $0.hostname = "db"
            $0.subdomain = "stores"
        }
        let names = PodFiles.hostname(named, nodeName: "n", clusterDomain: "cluster.local")
        #expect(names.name == "db" && names.qualified == "db.stores.shop.svc.cluster.local")
        #expect(PodFiles.hostname(pod { $0.hostNetwork = true }, nodeName: "n", clusterDomain: "x").name == "n")
    }

    @Test func hostsNamesThePodItsDomainAndItsAliases() {
        let pod = pod { $0.hostAliases = [HostAlias(ip: "192.0.2.1", hostnames: ["a", "b"])] }
        let text = PodFiles.hosts(
            pod, addresses: ["10.42.0.9"], hostname: "db", qualifiedName: "db.s.shop.svc.c", hostFile: "")
        #expect(text.contains("127.0.0.1\tlocalhost\n"))
        #expect(text.contains("10.42.0.9\tdb.s.shop.svc.c\tdb\n"))
        #expect(text.hasSuffix("\n192.0.2.1\ta\tb\n"))
    }

    @Test func aPodOnTheHostsNetworkHasTheHostsFile() {
        let text = PodFiles.hosts(
            pod { $0.hostNetwork = true }, addresses: [], hostname: "n", qualifiedName: nil, hostFile: "192.0.2.9 me")
        #expect(text.contains("192.0.2.9 me\n") && !text.contains("ip6-allnodes"))
    }

    @Test func resolverFollowsThePolicy() {
        func text(_ pod: Pod, dns: [String] = ["10.43.0.10"]) -> String {
            PodFiles.resolvConf(pod, host: Self.node, clusterDNS: dns, clusterDomain: "cluster.local")
        }
        let cluster =
            "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.43.0.10\noptions ndots:5\n"
        let own = "search example.org\nnameserver 192.0.2.53\noptions timeout:1 rotate\n"
        #expect(text(pod()) == cluster)
        #expect(text(pod(), dns: []) == own)
        #expect(text(pod { $0.dnsPolicy = .default }) == own)
        #expect(text(pod { $0.hostNetwork = true }) == own)
        let withHostNetwork = pod {
            $0.hostNetwork = true
            $0.dnsPolicy = .clusterFirstWithHostNet
        }
        #expect(text(withHostNetwork) == cluster)
    }

    @Test func dnsConfigIsMergedAndReplacesOptionsOfTheSameName() {
        var more = DNSConfig()
        more.nameservers = ["192.0.2.53", "192.0.2.54"]
        more.searches = ["corp"]
        more.options = [DNSConfig.Option(name: "timeout", value: "9"), DNSConfig.Option(name: "edns0", value: nil)]
        let merged = PodFiles.resolvConf(
            pod {
                $0.dnsPolicy = .default
                $0.dnsConfig = more
            }, host: Self.node, clusterDNS: [], clusterDomain: "c")
        #expect(
            merged
                == "search example.org corp\nnameserver 192.0.2.53\nnameserver 192.0.2.54\noptions rotate timeout:9 edns0\n"
        )
    }
}
