// Paths and addresses inside of objects.

import Glibc

/// What is wrong with a path that must stay below where it starts.
func descendingPathFaults(_ path: String) -> [String] {
    (path.hasPrefix("/") ? ["must be a relative path"] : []) + backstepFaults(path)
}

/// What is wrong with a path that must not climb.
func backstepFaults(_ path: String) -> [String] {
    path.split(separator: "/").contains("..") ? ["must not contain '..'"] : []
}

let ipAddressMessage = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"

/// Whether `text` is an IPv4 or IPv6 address in its usual notation (man 3 inet_pton).
func isIPAddress(_ text: String) -> Bool { isIPv4Address(text) || isIPv6Address(text) }

func isIPv4Address(_ text: String) -> Bool {
    var address = in_addr()
    return !text.utf8.contains(0) && inet_pton(AF_INET, text, &address) == 1
}

func isIPv6Address(_ text: String) -> Bool {
    var address = in6_addr()
    return !text.utf8.contains(0) && inet_pton(AF_INET6, text, &address) == 1
}
