// One agent makes room for another: what was started in the background goes when somebody starts `swiftlet node`.
import ControlSocket
import JSONTree
import Linux

enum Takeover {
    /// How long an agent that was asked to go may take.
    static let patience = Duration.seconds(20)

    /// The lock of this run and data directory, from whoever may give it.
    static func lock(
        _ settings: NodeSettings, _ lifetime: NodeAgent.Lifetime, version: String, readiness: Int32?
    ) throws(NodeError) -> AgentLock {
        do throws(NodeError) {
            return try AgentLock(runDirectory: settings.runDirectory, dataDirectory: settings.dataDirectory)
        } catch {
            if case .onDemand = lifetime {
                // Another command was quicker; whoever started this one asks that agent.
                if let readiness { _ = write(readiness, "h", 1) }
                throw error
            }
            guard askToGo(settings, version) else { throw error }
            return try wait(settings, error)
        }
    }

    /// Whether the present agent is one that goes when asked, and was asked.
    private static func askToGo(_ settings: NodeSettings, _ version: String) -> Bool {
        do throws(ControlError) {
            var client = try ControlClient(runDirectory: settings.runDirectory, version: version)
            guard try client.call("agent")["onDemand"]?.boolValue == true else { return false }
            _ = try client.call("quit")
            return true
        } catch {
            // It may be gone before its answer is here; it may also speak another revision, and then stays.
            return error.code == .disconnected
        }
    }

    private static func wait(_ settings: NodeSettings, _ refusal: NodeError) throws(NodeError) -> AgentLock {
        let deadline = ContinuousClock.now + patience
        while true {
            do throws(NodeError) {
                return try AgentLock(runDirectory: settings.runDirectory, dataDirectory: settings.dataDirectory)
            } catch {
                guard ContinuousClock.now < deadline else { throw refusal }
            }
            usleep(10_000)
        }
    }
}
