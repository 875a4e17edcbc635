// swift-tools-version: 6.2
// A folder is a floor, a module is a room: docs/architecture.md. A module imports only its own floor or floors below;
// scripts/check-floors enforces it.
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// A module at `Sources/<floor>/<name>`.
func room(_ floor: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)", swiftSettings: strict)
}

/// The unit tests of the module `name`, in `Tests/<floor>/<name>Tests`.
func tests(_ floor: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.init(stringLiteral: name)] + dependencies,
        path: "Tests/\(floor)/\(name)Tests", swiftSettings: strict)
}

/// A thin C shim in `CSupport/<name>`.
func shim(_ name: String, links: [String] = []) -> Target {
    .target(name: name, path: "CSupport/\(name)", linkerSettings: links.map { .linkedLibrary($0) })
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nio = [("NIOCore", "swift-nio"), ("NIOPosix", "swift-nio"), ("NIOHTTP1", "swift-nio"), ("NIOSSL", "swift-nio-ssl")]
    .map { Target.Dependency.product(name: $0.0, package: $0.1) }
let grdb = [("GRDB", "GRDB.swift"), ("GRDBSQLite", "GRDB.swift")]
    .map { Target.Dependency.product(name: $0.0, package: $0.1) }
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "swiftlet",
    products: [
        .executable(name: "swiftlet", targets: ["swiftlet"]),
        .executable(name: "swiftlet-cni", targets: ["swiftlet-cni"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        // CSupport: C, only what Swift cannot do or call by itself. (CSupport/podinit is built by its own Makefile.)
        shim("CLinux"),
        shim("CPodinit"),
        shim("CNetlink", links: ["mnl"]),
        shim("CNFTables", links: ["nftnl", "mnl"]),
        shim("CSeccomp", links: ["seccomp"]),
        // Statically: the shared library would cost every start 1.6 ms (CArchive.h).
        shim("CArchive", links: [":libarchive.a", "zstd", "z"]),

        // Kernel: one kernel facility per module; knows no pod, no Kubernetes.
        room("Kernel", "Linux", ["CLinux"]),
        room("Kernel", "Netlink", ["CNetlink", "CLinux", "Linux"]),
        room("Kernel", "NFTables", ["CNFTables", "CNetlink", "Linux"]),
        room("Kernel", "Cgroups", ["Linux"]),
        room("Kernel", "Seccomp", ["CSeccomp", "Linux"]),

        // API: Kubernetes objects as data.
        room("API", "JSONTree"),
        room("API", "Schema", ["JSONTree"]),
        room("API", "Resources", ["JSONTree"]),
        room("API", "Manifests", ["JSONTree", "Schema", "Resources", yams]),

        // Node: what one host does; needs no API server.
        room("Node", "OCI", ["JSONTree"]),
        room("Node", "ContainerRuntime", ["CLinux", "CPodinit", "Linux", "Cgroups", "Seccomp"]),
        room(
            "Node", "Images",
            ["CArchive", "CLinux", "Linux", "JSONTree", "OCI", yams, httpClient, crypto] + nio),
        room("Node", "PodNetwork", ["Linux", "Netlink", "NFTables", "JSONTree"]),
        room("Node", "CNI", ["Linux", "Netlink", "NFTables", "JSONTree", "PodNetwork"]),
        room("Node", "Overlay", ["Linux", "Netlink", "NFTables", "JSONTree", "Manifests"]),
        room("Node", "ServiceProxy", ["Linux", "Netlink", "NFTables", "JSONTree"]),
        room(
            "Node", "PodEngine",
            [
                "CLinux", "Linux", "Netlink", "NFTables", "Cgroups", "Seccomp", "JSONTree", "Resources", "OCI",
                "ContainerRuntime",
                "Images", "PodNetwork", logging,
            ]),
        room("Node", "ControlSocket", ["Linux", "JSONTree"]),
        room(
            "Node", "LocalNode",
            [
                "Linux", "Netlink", "NFTables", "Cgroups", "Seccomp", "JSONTree", "Resources", "Manifests", "Images",
                "PodNetwork", "CNI", "Overlay", "ServiceProxy", "ContainerRuntime", "PodEngine", "ControlSocket",
                logging,
            ]),

        // Cluster: the compact control plane.
        room("Cluster", "Store", ["Linux"] + grdb),

        // Commands.
        .executableTarget(
            name: "swiftlet",
            dependencies: [
                "CLinux", "Linux", "NFTables", "Cgroups", "JSONTree", "Resources", "Manifests", "OCI", "Images",
                "PodNetwork", "Overlay", "ServiceProxy", "PodEngine", "ControlSocket", "LocalNode",
                argumentParser, logging,
            ],
            path: "Sources/Commands/swiftlet", swiftSettings: strict),

        // Static, as it is started anew for every call: scripts/build says where libmnl.a lies, which Debian does not have
        // (CSupport/mnl). Without that it is linked as everything else.
        .executableTarget(
            name: "swiftlet-cni", dependencies: ["Linux", "CNI"], path: "Sources/Commands/swiftlet-cni",
            swiftSettings: strict,
            linkerSettings: (Context.environment["SWIFTLET_STATIC_LIBRARIES"]).map {
                [.unsafeFlags(["-static-executable", "-L\($0)", "-Xlinker", "-s"])]
            } ?? []),

        // Tests mirror Sources.
        .target(
            name: "TestSupport", dependencies: ["CLinux", "Linux"], path: "Tests/TestSupport", swiftSettings: strict),
        tests("Kernel", "Linux", ["TestSupport"]),
        tests("Kernel", "Netlink", ["TestSupport"]),
        tests("Kernel", "NFTables", ["TestSupport", "CLinux", "Linux"]),
        tests("Kernel", "Cgroups", ["TestSupport"]),
        tests("Kernel", "Seccomp", ["TestSupport"]),
        tests("API", "JSONTree"),
        tests("API", "Schema"),
        tests("API", "Resources"),
        tests("API", "Manifests"),
        tests("Node", "ContainerRuntime", ["TestSupport", "Cgroups", "CPodinit", "Linux"]),
        tests("Node", "Images", ["TestSupport", "OCI", "Linux", "CLinux", "JSONTree"] + nio.prefix(1)),
        // What the tests of PodNetwork kill at random moments; measures too.
        .executableTarget(
            name: "PodNetworkChurn", dependencies: ["Linux", "Netlink", "NFTables", "PodNetwork", "TestSupport"],
            path: "Tests/Node/PodNetworkChurn", swiftSettings: strict),
        tests("Node", "PodNetwork", ["TestSupport", "Netlink", "PodNetworkChurn"]),
        tests("Node", "CNI", ["TestSupport", "Linux", "Netlink", "NFTables", "JSONTree", "PodNetwork"]),
        tests("Node", "Overlay", ["TestSupport", "Linux", "Netlink", "NFTables", "JSONTree"]),
        tests("Node", "ServiceProxy", ["TestSupport", "Linux", "Netlink", "NFTables", "JSONTree"]),
        tests(
            "Node", "PodEngine", ["TestSupport", "Linux", "Netlink", "JSONTree", "Seccomp", "Resources", "Manifests"]),
        tests("Node", "ControlSocket", ["TestSupport"]),
        tests(
            "Node", "LocalNode", ["TestSupport", "Linux", "Overlay", "JSONTree", "NFTables", "Resources", "Manifests"]),
        tests("Cluster", "Store", ["StoreLoad", "TestSupport", "Linux"] + grdb.prefix(1)),
        // Puts load on a store: a child of its tests, and scripts/bench store.
        .executableTarget(
            name: "StoreLoad", dependencies: ["Store", "Linux"], path: "Tests/Cluster/StoreLoad", swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests", dependencies: ["TestSupport", "Linux", "JSONTree"],
            path: "Tests/Integration", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
