import Linux

/// Devices that the processes of a cgroup may make or open.
public struct DeviceRule: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case character = "c"
        case block = "b"
        /// Both kinds.
        case all = "a"
    }
    public struct Access: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        // BPF_DEVCG_ACC_* of linux/bpf.h.
        public static let make = Access(rawValue: 1)
        public static let read = Access(rawValue: 2)
        public static let write = Access(rawValue: 4)
        public static let all: Access = [.make, .read, .write]

        /// As cgroup v1 writes it: `r`, `w` and `m` in this order.
        var letters: String {
            (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "") + (contains(.make) ? "m" : "")
        }
    }

    public var kind: Kind
    /// Nil is any.
    public var major: UInt32?
    /// Nil is any.
    public var minor: UInt32?
    public var access: Access

    public init(_ kind: Kind, _ major: UInt32?, _ minor: UInt32?, _ access: Access) {
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    /// What a container without privileges gets (runtime-spec config-linux.md "Default Devices", runc's AllowedDevices):
    /// any node may be made, and null, zero, full, random, urandom, tty, console, ptmx and pseudo-terminals be used.
    public static let containerDefaults: [DeviceRule] = [
        DeviceRule(.character, nil, nil, .make), DeviceRule(.block, nil, nil, .make),
        DeviceRule(.character, 1, 3, .all), DeviceRule(.character, 1, 5, .all), DeviceRule(.character, 1, 7, .all),
        DeviceRule(.character, 1, 8, .all), DeviceRule(.character, 1, 9, .all), DeviceRule(.character, 5, 0, .all),
        DeviceRule(.character, 5, 1, .all), DeviceRule(.character, 5, 2, .all), DeviceRule(.character, 136, nil, .all),
    ]

    /// Everything, for privileged containers.
    public static let everything: [DeviceRule] = [DeviceRule(.all, nil, nil, .all)]

    /// The line for devices.allow, such as `c 136:* rwm`.
    var line: String {
        let numbers = "\(major.map(String.init) ?? "*"):\(minor.map(String.init) ?? "*")"
        return "\(kind.rawValue) \(numbers) \(access.letters)"
    }
}
