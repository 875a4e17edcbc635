// The doctor: looks at the host and says what a node would find wanting, and what to do about it. It tries things for real
// wherever it can, in namespaces, directories and cgroups of its own that are gone when it has finished.
import JSONTree
import Linux

/// One thing that a node needs or would like, and how this host stands.
public struct DoctorCheck: Sendable, Hashable {
    public enum Status: String, Sendable, Hashable, CaseIterable {
        case ok
        /// A node works, but not in every respect.
        case warning
        /// A node does not work.
        case failed
    }
    /// What it is about: `kernel`, `rights`, `cgroups`, `network`, `files`.
    public let subject: String
    /// Unique within the subject, such as `overlayfs`.
    public let name: String
    public let status: Status
    /// What was found.
    public let detail: String
    /// What to do, where something is not ok.
    public let remedy: String?

    public init(_ subject: String, _ name: String, _ status: Status, _ detail: String, remedy: String? = nil) {
        self.subject = subject
        self.name = name
        self.status = status
        self.detail = detail
        self.remedy = remedy
    }
}

/// Examines the host that the calling process runs on, in its namespaces and with its rights.
public struct Doctor: Sendable {
    /// Where the node would keep its images and pods. It does not have to exist.
    public let dataDirectory: String
    /// Where the node would keep its sockets. It does not have to exist.
    public let runDirectory: String

    /// Of everything that this examination makes.
    let ownName = "swiftlet-doctor-\(getpid())-\(UInt32.random(in: 0 ... .max))"

    public init(dataDirectory: String, runDirectory: String) {
        self.dataDirectory = dataDirectory
        self.runDirectory = runDirectory
    }

    /// Does all the checks. Blocks for some tens of milliseconds; nothing that it makes is left.
    public func examine() -> DoctorReport {
        var checks = [kernelVersion()] + namespaces() + [systemCalls(), overlay(), seccomp()]
        checks += [superuser(), capabilities()] + limits()
        checks += cgroups()
        checks += network()
        checks += directories() + [podinit()] + inotify()
        return DoctorReport(checks: checks)
    }
}

/// What the doctor found.
public struct DoctorReport: Sendable, Hashable {
    public let checks: [DoctorCheck]

    public init(checks: [DoctorCheck]) { self.checks = checks }

    /// How many checks ended with `status`.
    public func count(_ status: DoctorCheck.Status) -> Int { checks.count { $0.status == status } }

    /// Whether a node would not work here.
    public var failed: Bool { count(.failed) > 0 }

    /// For a person: checks by subject, each problem with its remedy below, a line of totals at the end. `colored` marks
    /// the status with the colors of a terminal (ECMA-48).
    public func text(colored: Bool = false) -> String {
        let width = checks.map(\.name.count).max() ?? 0
        var text = ""
        var subject = ""
        for check in checks {
            if check.subject != subject {
                subject = check.subject
                text += (text.isEmpty ? "" : "\n") + subject + "\n"
            }
            let status = check.status.rawValue
            text += "  " + (colored ? check.status.color + status + "\u{1b}[0m" : status)
            text += String(repeating: " ", count: 9 - status.count) + check.name
            text += String(repeating: " ", count: width - check.name.count + 2) + check.detail + "\n"
            if let remedy = check.remedy {
                text += String(repeating: " ", count: width + 13) + "→ " + remedy + "\n"
            }
        }
        return text + "\n\(count(.ok)) ok, \(count(.warning)) warnings, \(count(.failed)) failed\n"
    }

    /// For a program: `{"checks": [{"subject", "name", "status", "detail", "remedy"}], "ok", "warnings", "failed"}`.
    public func json() -> JSONValue {
        let list = checks.map { check in
            var object = JSONObject()
            object["subject"] = .string(check.subject)
            object["name"] = .string(check.name)
            object["status"] = .string(check.status.rawValue)
            object["detail"] = .string(check.detail)
            if let remedy = check.remedy { object["remedy"] = .string(remedy) }
            return JSONValue.object(object)
        }
        return [
            "checks": .array(list), "ok": JSONValue(count(.ok)), "warnings": JSONValue(count(.warning)),
            "failed": JSONValue(count(.failed)),
        ]
    }
}

extension DoctorCheck.Status {
    fileprivate var color: String {
        switch self {
        case .ok: "\u{1b}[32m"
        case .warning: "\u{1b}[33m"
        case .failed: "\u{1b}[31m"
        }
    }
}
