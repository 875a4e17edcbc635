import Glibc
import JSONTree
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport
import Testing

@testable import CNI

/// Pods and their attachments, with plugins that do what each test says.
@Suite struct CNINetworkTests {
    /// Runs `body` where mounts are nobody else's.
    private func with(
        _ body: @escaping @Sendable (FakePlugins, CNINetwork) throws -> Void
    ) async throws {
        try await inMountNamespace {
            let plugins = try FakePlugins()
            var configuration = CNINetwork.Configuration(
                directory: plugins.records, namespaceDirectory: "\(plugins.directory)/netns")
            configuration.configurationDirectory = "\(plugins.directory)/net.d"
            configuration.pluginDirectories = [plugins.pluginDirectory]
            try makeDirectories(configuration.configurationDirectory)
            try body(plugins, CNINetwork(configuration))
        }
    }

    @Test("A pod is attached with what Kubernetes' plugins know it by, under a path that outlives its processes")
    func attachment() async throws {
        try await with { plugins, network in
            try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
            try plugins.configure("one")
            var pod = CNINetwork.Pod(uid: "uid-1", namespace: "default", name: "web")
            pod.runtime.mac = MACAddress("0a:00:00:00:00:01")
            var namespace: TestNamespace? = try TestNamespace()
            let attached = try network.attachNow(pod, try namespace.required.descriptor)
            try require(attached.addresses.map(\.description) == ["10.0.0.5"] && attached.network == "net")
            try require(
                try plugins.environment("ADD", "one") == [
                    "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
                        + "K8S_POD_INFRA_CONTAINER_ID=uid-1;K8S_POD_UID=uid-1",
                    "CNI_COMMAND=ADD", "CNI_CONTAINERID=uid-1", "CNI_IFNAME=eth0",
                    "CNI_NETNS=\(plugins.directory)/netns/uid-1", "CNI_PATH=\(plugins.pluginDirectory)",
                ])
            try require(
                try namespace.required.output(of: ["ip", "-o", "link", "show", "up", "lo"]).contains("LOOPBACK,UP"))
            // The pod's processes are gone; the plugins still find its namespace.
            namespace = nil
            try plugins.make("one", ["DEL": #"stat -fc %T "$CNI_NETNS" >netns"#])
            try network.detachNow(uid: "uid-1")
            try require(try readText("\(plugins.directory)/log/netns") == "nsfs\n")
            try require(try listDirectory("\(plugins.directory)/netns") == [] && plugins.recorded() == [])
            _ = try plugins.calls()
            try network.detachNow(uid: "uid-1")
            try require(try plugins.calls() == [], "a pod that has nothing costs nothing")
        }
    }

    @Test("A pod that asks for what no plugin can do is refused before anything is done")
    func missingCapability() async throws {
        try await with { plugins, network in
            try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
            try plugins.configure("one")
            var pod = CNINetwork.Pod(uid: "uid-1", namespace: "default", name: "web")
            pod.runtime.hostPorts = [HostPort(port: 80, containerPort: 80)]
            let error = failure { _ = try network.attachNow(pod, try TestNamespace().descriptor) }
            try require(
                error == "no plugin of network 'net' has the capability 'portMappings', which the pod needs", error)
            try require(try plugins.calls() == [])
        }
    }

    @Test("A failed attachment leaves neither record nor mount; nor does one without an address")
    func failedAttachment() async throws {
        try await with { plugins, network in
            let pod = CNINetwork.Pod(uid: "uid-1", namespace: "default", name: "web")
            let namespace = try TestNamespace()
            var error = failure { _ = try network.attachNow(pod, namespace.descriptor) }
            try require(error.hasPrefix("no network configuration"), error)
            try plugins.configure("one")
            for (answer, complaint) in [
                (#"echo '{"code":11,"msg":"later"}'; exit 1"#, "CNI plugin 'one', ADD: later (code 11)"),
                (#"echo '{"cniVersion":"1.0.0"}'"#, "network 'net' gave the pod no address"),
            ] {
                try plugins.make("one", ["ADD": answer])
                error = failure { _ = try network.attachNow(pod, namespace.descriptor) }
                try require(error == complaint, error)
                try require(try plugins.calls() == ["ADD one uid-1", "DEL one uid-1"])
                try require(try listDirectory("\(plugins.directory)/netns") == [] && plugins.recorded() == [])
            }
        }
    }

    @Test("A pod that is attached again is detached first")
    func attachedAgain() async throws {
        try await with { plugins, network in
            try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
            try plugins.configure("one")
            let pod = CNINetwork.Pod(uid: "uid-1", namespace: "default", name: "web")
            _ = try network.attachNow(pod, try TestNamespace().descriptor)
            _ = try network.attachNow(pod, try TestNamespace().descriptor)
            try require(try plugins.calls() == ["ADD one uid-1", "DEL one uid-1", "ADD one uid-1"])
            try network.detachNow(uid: "uid-1")
        }
    }

    @Test(
        "Reconciling takes back what pods had that are gone, by the configuration of their time, and names those that lost theirs"
    )
    func reconciliation() async throws {
        try await with { plugins, network in
            try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
            try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24", version: "1.1.0")])
            try plugins.configure("one")
            let namespace = try TestNamespace()
            for uid in ["gone", "stays", "unmounted"] {
                _ = try network.attachNow(.init(uid: uid, namespace: "default", name: uid), namespace.descriptor)
            }
            // What a reboot does to the mounts, and a stranger to a record.
            try require(umount2("\(plugins.directory)/netns/unmounted", 0) == 0)
            try writeFileAtomically("\(plugins.records)/results/net-x-eth0", Array("torn".utf8))
            try makeDirectories("\(plugins.directory)/netns/")
            try writeFileAtomically("\(plugins.directory)/netns/leftover", [])
            try plugins.configure("two", version: "1.1.0")
            _ = try plugins.calls()
            let report = try CNINetwork(network.configuration).reconcileNow(live: ["stays", "unmounted", "new"])
            try require(report.removed == ["gone"] && report.lost == ["unmounted"], "\(report)")
            try require(
                report.problems.map(\.description).first?.hasSuffix(
                    "net-x-eth0 is no record of an attachment: remove it by hand") == true)
            try require(try plugins.calls() == ["DEL one gone", "GC two"])
            try require(
                try plugins.input("GC", "two")["cni.dev/valid-attachments"] == [
                    ["containerID": "stays", "ifname": "eth0"], ["containerID": "unmounted", "ifname": "eth0"],
                ])
            try require(try listDirectory("\(plugins.directory)/netns") == ["stays", "unmounted"])
            for uid in ["stays", "unmounted"] { try network.detachNow(uid: uid) }
            try require(try listDirectory("\(plugins.directory)/netns") == [])
        }
    }

    @Test("A pod whose ADD was cut off by SIGKILL is taken back and attached anew")
    func interrupted() async throws {
        try await with { plugins, network in
            try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
            try plugins.configure("one")
            let namespace = try TestNamespace()
            _ = try network.attachNow(.init(uid: "uid-1", namespace: "d", name: "n"), namespace.descriptor)
            // As the record is while plugins run.
            let path = "\(plugins.records)/results/net-uid-1-eth0"
            var record = try JSONValue.parse(try readFile(path))
            record["result"] = nil
            try writeFileAtomically(path, record.encoded())
            _ = try plugins.calls()
            let report = try CNINetwork(network.configuration).reconcileNow(live: ["uid-1"])
            try require(report.lost == ["uid-1"])
            _ = try network.attachNow(.init(uid: "uid-1", namespace: "d", name: "n"), namespace.descriptor)
            try require(try plugins.calls() == ["DEL one uid-1", "ADD one uid-1"])
            try network.detachNow(uid: "uid-1")
        }
    }

    @Test("Pods are attached at the same time, one pod's calls one after the other, and reconciling alone")
    func concurrency() async throws {
        let exclusion = Exclusion()
        exclusion.enter("a")
        exclusion.enter("b")
        let order = try makeTemporaryDirectory()
        defer { try? removeTree(order) }
        async let alone: Void = onThread {
            exclusion.enterAlone()
            rmdir(order)
            exclusion.leaveAlone()
        }
        async let again: Void = onThread {
            exclusion.enter("a")
            exclusion.leave("a")
        }
        exclusion.leave("a")
        #expect(fileExists(order), "somebody is alone while b is busy")
        exclusion.leave("b")
        _ = await (alone, again)
        #expect(!fileExists(order))
    }
}

extension FakePlugins {
    /// Makes `type` the network's only plugin.
    fileprivate func configure(_ type: String, version: String = "1.0.0") throws {
        let text =
            #"{"cniVersion":"\#(version)","name":"net","plugins":[{"type":"\#(type)","capabilities":{"mac":true}}]}"#
        try writeFileAtomically("\(directory)/net.d/10-net.conflist", Array(text.utf8))
    }
}

extension Optional {
    fileprivate var required: Wrapped {
        get throws {
            guard let self else { throw TestFailure("nil") }
            return self
        }
    }
}
