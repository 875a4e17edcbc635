// CNI: the Container Network Interface, both ways. The specification's documents as values (this file and CNIError,
// CNIResult, NetworkConfiguration, RuntimeConfiguration); the runtime's side, which calls plugins (PluginChain, CNINetwork);
// and `swiftlet-cni`, the plugin that others call (SwiftletPlugin), whose program is Commands/swiftlet-cni.

/// A version of the CNI specification that is spoken here (https://www.cni.dev/docs/spec).
public enum CNIVersion: String, Sendable, Hashable, CaseIterable, Comparable, CustomStringConvertible {
    /// Results as in 0.4.0, but without CHECK and without `prevResult` on DEL. Widespread: flannel's own configuration
    /// says 0.3.1.
    case v030 = "0.3.0"
    case v031 = "0.3.1"
    case v040 = "0.4.0"
    /// `ips` without `version`; plugins alone (no list) are not allowed any more.
    case v100 = "1.0.0"
    /// GC, STATUS, `cniVersions`, and more about interfaces and routes.
    case v110 = "1.1.0"

    public var description: String { rawValue }

    public static func < (left: CNIVersion, right: CNIVersion) -> Bool { left.position < right.position }

    private var position: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// CHECK, and `prevResult` on DEL, came with 0.4.0.
    public var hasCheck: Bool { self >= .v040 }
    /// GC and STATUS came with 1.1.0.
    public var hasCollection: Bool { self >= .v110 }
    /// Whether `ips` say their version, and nothing says more than 0.4.0 knew.
    var isOld: Bool { self < .v100 }

    /// `0.4.0, 1.0.0, 1.1.0`
    static func list(_ versions: some Sequence<CNIVersion>) -> String {
        versions.map(\.rawValue).joined(separator: ", ")
    }
}
