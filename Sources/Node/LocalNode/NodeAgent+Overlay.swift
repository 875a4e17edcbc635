// What the agent tells of the overlay.
import ControlSocket
import JSONTree
import Overlay

extension NodeAgent {
    /// The overlay of a node that has one.
    func overlay() throws(ControlError) -> Overlay {
        guard case .own(let joined) = network, let overlay = joined.overlay else {
            throw ControlError(
                .notFound, "this node has no overlay: it was started without --leases, the file that names other nodes")
        }
        return overlay
    }

    /// As a table for people, as a tree for programs, and whether all is there that should be.
    func showOverlay() async throws -> JSONValue {
        let view = try await overlay().inspect()
        return ["text": .string(view.text), "view": view.json, "isComplete": .bool(view.isComplete)]
    }

    /// Tells each step as it is made; the answer says whether all went well.
    func checkOverlay(_ request: ControlRequest) async throws -> JSONValue {
        let node = try request.string("node")
        var succeeded = true
        for await step in try overlay().check(node) {
            request.progress(["text": .string(step.text), "step": step.json])
            if step.outcome == .failed { succeeded = false }
        }
        return ["succeeded": .bool(succeeded)]
    }
}
