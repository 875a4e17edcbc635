// Containers from a tree.

import JSONTree

extension Container {
    /// Where a container stands in its pod.
    enum Kind { case app, initial }

    init(_ reader: FieldReader, kind: Kind) {
        let name = reader.required("name")
        if !name.isEmpty { reader.invalid("name", .string(name), NameRules.dns1123Label(name)) }
        let image = reader.required("image")
        if image.first?.isWhitespace == true || image.last?.isWhitespace == true {
            reader.invalid("image", .string(image), ["must not have leading or trailing whitespace"])
        }
        self.init(name: name, image: image)
        command = reader.someStrings("command")
        args = reader.someStrings("args")
        workingDir = reader.text("workingDir")
        ports = reader.readers("ports").map { ContainerPort($0) }
        env = reader.readers("env").compactMap { EnvVar($0) }
        if let resources = reader.reader("resources") { self.resources = ResourceRequirements(resources) }
        volumeMounts = reader.readers("volumeMounts").map { VolumeMount($0) }
        if let lifecycle = reader.reader("lifecycle") { self.lifecycle = Lifecycle(lifecycle) }
        terminationMessagePath = reader.text("terminationMessagePath") ?? "/dev/termination-log"
        terminationMessagePolicy = reader.choice("terminationMessagePolicy", .file)
        imagePullPolicy = reader.choice("imagePullPolicy", Self.defaultPullPolicy(image))
        if let context = reader.reader("securityContext") { securityContext = SecurityContext(context) }
        stdin = reader.boolean("stdin") ?? false
        stdinOnce = reader.boolean("stdinOnce") ?? false
        tty = reader.boolean("tty") ?? false
        readRestartPolicy(reader, kind)
        if kind == .initial, !isSidecar, let lifecycle = reader["lifecycle"], lifecycle != [:] {
            let message = "may not be set for init containers without restartPolicy=Always"
            reader.add(.forbidden(reader.path.field("lifecycle"), message))
        }
    }

    private mutating func readRestartPolicy(_ reader: FieldReader, _ kind: Kind) {
        guard let policy = reader.text("restartPolicy") else { return }
        let path = reader.path.field("restartPolicy")
        switch (kind, policy) {
        case (.initial, "Always"): isSidecar = true
        case (.initial, _): reader.add(.unsupported(path, .string(policy), supported: ["Always"]))
        case (.app, _): reader.add(.forbidden(path, "may not be set for non-init containers"))
        }
    }

    /// `Always` for the tag `latest`, written or implied; `IfNotPresent` for other tags and for digests.
    static func defaultPullPolicy(_ image: String) -> ImagePullPolicy {
        let parts = image.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts.first ?? ""
        let last = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let colon = last.firstIndex(of: ":") else { return parts.count > 1 ? .ifNotPresent : .always }
        return last[last.index(after: colon)...] == "latest" ? .always : .ifNotPresent
    }
}

extension ContainerPort {
    init(_ reader: FieldReader) {
        let path = reader.path
        if let name = reader.text("name") { reader.invalid("name", .string(name), NameRules.portName(name)) }
        let hostPort = reader.integer("hostPort") { $0 == 0 ? [] : NameRules.portNumber($0) } ?? 0
        if let ip = reader.text("hostIP"), !isIPAddress(ip) {
            reader.invalid("hostIP", .string(ip), [ipAddressMessage])
        }
        let number = reader.integer("containerPort") { $0 == 0 ? [] : NameRules.portNumber($0) } ?? 0
        if number == 0 { reader.add(.required(path.field("containerPort"))) }
        self.init(containerPort: UInt16(clamping: number))
        name = reader.text("name")
        self.hostPort = hostPort == 0 ? nil : UInt16(exactly: hostPort)
        hostIP = reader.text("hostIP")
        self.protocol = reader.choice("protocol", .tcp)
        if self.protocol == .sctp, self.hostPort != nil {
            let message = "\"SCTP\" is valid in Kubernetes but not served by Swiftlet yet for a hostPort"
            reader.add(FieldError(path.field("protocol"), .notServed, message))
        }
    }
}

extension EnvVar {
    /// The fields of a pod that an environment variable can take, besides `metadata.labels['…']` and annotations.
    static let fieldPaths = [
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    ]

    /// nil where it has no value that can be read.
    init?(_ reader: FieldReader) {
        let name = reader.required("name")
        if !name.isEmpty { reader.invalid("name", .string(name), NameRules.environmentVariable(name)) }
        let value = reader.string("value") ?? ""
        guard let from = reader.reader("valueFrom") else {
            self.init(name: name, source: .value(value))
            return
        }
        if !value.isEmpty {
            from.add(.invalid(from.path, "", "may not be specified when `value` is not empty"))
        }
        guard let field = from.reader("fieldRef") else {
            let message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            from.add(.invalid(from.path, "", message))
            return nil
        }
        if let version = field.text("apiVersion"), version != "v1" {
            field.add(.unsupported(field.path.field("apiVersion"), .string(version), supported: ["v1"]))
        }
        let path = field.required("fieldPath")
        if !path.isEmpty { Self.check(path, field) }
        self.init(name: name, source: .field(path))
    }

    private static func check(_ path: String, _ field: FieldReader) {
        if fieldPaths.contains(path) { return }
        if let key = subscriptKey(path, of: "metadata.annotations") {
            field.invalid("fieldPath", .string(path), NameRules.qualifiedName(key.lowercased()))
        } else if let key = subscriptKey(path, of: "metadata.labels") {
            field.invalid("fieldPath", .string(path), NameRules.qualifiedName(key))
        } else {
            field.add(.unsupported(field.path.field("fieldPath"), .string(path), supported: fieldPaths))
        }
    }

    /// The key in `metadata.labels['key']`.
    public static func subscriptKey(_ path: String, of map: String) -> String? {
        guard path.hasPrefix(map + "['"), path.hasSuffix("']"), path.count > map.count + 4 else { return nil }
        return String(path.dropFirst(map.count + 2).dropLast(2))
    }
}

extension VolumeMount {
    init(_ reader: FieldReader) {
        let path = reader.required("mountPath")
        self.init(name: reader.required("name"), mountPath: path.isEmpty || path.hasPrefix("/") ? path : "/" + path)
        readOnly = reader.boolean("readOnly") ?? false
        subPath = reader.text("subPath")
        if let subPath { reader.invalid("subPath", .string(subPath), descendingPathFaults(subPath)) }
        mountPropagation = reader.choice("mountPropagation", .none)
    }
}

extension Lifecycle {
    init(_ reader: FieldReader) {
        self.init()
        postStart = Self.command(reader, "postStart")
        preStop = Self.command(reader, "preStop")
    }

    private static func command(_ lifecycle: FieldReader, _ hook: String) -> [String]? {
        guard let handler = lifecycle.reader(hook) else { return nil }
        guard let exec = handler.reader("exec") else {
            handler.add(.required(handler.path, "must specify a handler type"))
            return nil
        }
        let command = exec.strings("command")
        if command.isEmpty { exec.add(.required(exec.path.field("command"))) }
        return command
    }
}
