import Linux
import Resources

/// The files that the engine writes for a pod's /etc.
enum PodFiles {
    /// The pod's host name and, with a subdomain, its fully qualified one (Kubernetes, "DNS for Services and Pods").
    static func hostname(_ pod: Pod, nodeName: String, clusterDomain: String) -> (name: String, qualified: String?) {
        if pod.spec.hostNetwork { return (nodeName, nil) }
        let name = String((pod.spec.hostname ?? pod.metadata.name).prefix(63)).trimmingDashesAndDots()
        guard let subdomain = pod.spec.subdomain, !subdomain.isEmpty else { return (name, nil) }
        return (name, "\(name).\(subdomain).\(pod.metadata.namespace).svc.\(clusterDomain)")
    }

    /// /etc/hosts: the loopback lines, the pod's own name, then hostAliases. A pod on the host's network starts from
    /// `hostFile`.
    static func hosts(
        _ pod: Pod, addresses: [String], hostname: String, qualifiedName: String?, hostFile: String
    ) -> String {
        var text = "# Kubernetes-managed hosts file.\n"
        if pod.spec.hostNetwork {
            text = "# Kubernetes-managed hosts file (host network).\n" + hostFile
            if !text.hasSuffix("\n") { text += "\n" }
        } else {
            text += """
                127.0.0.1\tlocalhost
                ::1\tlocalhost ip6-localhost ip6-loopback
                fe00::0\tip6-localnet
                fe00::0\tip6-mcastprefix
                fe00::1\tip6-allnodes
                fe00::2\tip6-allrouters

                """
            let names = (qualifiedName.map { [$0] } ?? []) + [hostname]
            for address in addresses { text += "\(address)\t\(names.joined(separator: "\t"))\n" }
        }
        if !pod.spec.hostAliases.isEmpty {
            text += "\n# Entries added by HostAliases.\n"
            for alias in pod.spec.hostAliases { text += "\(alias.ip)\t\(alias.hostnames.joined(separator: "\t"))\n" }
        }
        return text
    }

    /// /etc/resolv.conf by dnsPolicy and dnsConfig; `host` is the node's own (resolv.conf(5)).
    static func resolvConf(_ pod: Pod, host: String, clusterDNS: [String], clusterDomain: String) -> String {
        var configuration: ResolverConfiguration
        let policy = pod.spec.dnsPolicy
        let usesCluster = policy == .clusterFirstWithHostNet || (policy == .clusterFirst && !pod.spec.hostNetwork)
        if policy == .none {
            configuration = ResolverConfiguration()
        } else if usesCluster && !clusterDNS.isEmpty {
            let node = ResolverConfiguration(parsing: host)
            configuration = ResolverConfiguration()
            configuration.nameservers = clusterDNS
            configuration.searches =
                ["\(pod.metadata.namespace).svc.\(clusterDomain)", "svc.\(clusterDomain)", clusterDomain]
                + node.searches
            configuration.options = [("ndots", "5")]
        } else {
            configuration = ResolverConfiguration(parsing: host)
        }
        if let more = pod.spec.dnsConfig { configuration.merge(more) }
        return configuration.text
    }
}

/// What resolv.conf(5) says, as far as pods need it.
struct ResolverConfiguration {
    var nameservers: [String] = []
    var searches: [String] = []
    var options: [(name: String, value: String?)] = []

    init() {}

    init(parsing text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard let keyword = words.first else { continue }
            switch keyword {
            case "nameserver": if words.count > 1 { nameservers.append(words[1]) }
            case "search", "domain": searches = Array(words.dropFirst())
            case "options":
                for option in words.dropFirst() {
                    let parts = option.split(separator: ":", maxSplits: 1).map(String.init)
                    options.append((parts[0], parts.count > 1 ? parts[1] : nil))
                }
            default: continue
            }
        }
    }

    /// Adds a pod's dnsConfig: lists are joined without repetition, options of the same name replaced.
    mutating func merge(_ more: DNSConfig) {
        for server in more.nameservers where !nameservers.contains(server) { nameservers.append(server) }
        for search in more.searches where !searches.contains(search) { searches.append(search) }
        for option in more.options {
            options.removeAll { $0.name == option.name }
            options.append((option.name, option.value))
        }
    }

    var text: String {
        var lines: [String] = []
        if !searches.isEmpty { lines.append("search \(searches.joined(separator: " "))") }
        lines += nameservers.map { "nameserver \($0)" }
        if !options.isEmpty {
            lines.append(
                "options " + options.map { $0.name + ($0.value.map { ":\($0)" } ?? "") }.joined(separator: " "))
        }
        return lines.map { $0 + "\n" }.joined()
    }
}

extension String {
    /// Without the `-` and `.` that a cut-off name may end with.
    fileprivate func trimmingDashesAndDots() -> String {
        var text = Substring(self)
        while text.hasSuffix("-") || text.hasSuffix(".") { text = text.dropLast() }
        return String(text)
    }
}
