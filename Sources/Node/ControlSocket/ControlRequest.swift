// A request as the agent's handler sees it.
import JSONTree
import Linux
import Synchronization

/// One request of a command: what is wanted, the descriptors that came along, and the way back for progress.
///
/// The handler runs in a task of its own; the task is cancelled when the command goes away.
public final class ControlRequest: Sendable {
    public let verb: String
    /// An object, or null where the verb takes nothing.
    public let arguments: JSONValue
    /// The process that asks.
    public let peer: ControlIdentity
    /// What the command sends while the request runs, such as window sizes. Ends with the connection.
    public let inputs: AsyncStream<JSONValue>

    let feed: AsyncStream<JSONValue>.Continuation
    private let descriptors: Mutex<[Int32]>
    private let sender: @Sendable (ControlFrame, [Int32]) -> Void

    init(
        verb: String, arguments: JSONValue, peer: ControlIdentity, descriptors: [Int32],
        sender: @escaping @Sendable (ControlFrame, [Int32]) -> Void
    ) {
        self.verb = verb
        self.arguments = arguments
        self.peer = peer
        self.descriptors = Mutex(descriptors)
        self.sender = sender
        // A handler that does not look loses the oldest: what counts is the latest window size.
        (inputs, feed) = AsyncStream.makeStream(of: JSONValue.self, bufferingPolicy: .bufferingNewest(64))
    }

    deinit {
        for number in descriptors.withLock({ $0 }) where number >= 0 { close(number) }
    }

    /// How many descriptors came with the request, taken or not.
    public var descriptorCount: Int { descriptors.withLock { $0.count } }

    /// The descriptor at `index` of those that came; nil where there is none or it was taken.
    public func takeDescriptor(_ index: Int) -> OwnedDescriptor? {
        let number = descriptors.withLock { descriptors -> Int32 in
            guard descriptors.indices.contains(index) else { return -1 }
            defer { descriptors[index] = -1 }
            return descriptors[index]
        }
        return number < 0 ? nil : OwnedDescriptor(owning: number)
    }

    /// Tells the command what happened, never waiting for it: a command that does not read loses progress messages.
    public func progress(_ value: JSONValue) {
        sender(ControlFrame(kind: .progress, body: value), [])
    }

    /// A progress message with a copy of `descriptor`.
    public func progress(_ value: JSONValue, passing descriptor: borrowing OwnedDescriptor) {
        sender(ControlFrame(kind: .progress, body: value, descriptorCount: 1), [descriptor.number])
    }
}

/// Reading a request's arguments. What is missing or of another type is a ``ControlError`` that names it.
extension ControlRequest {
    public func string(_ key: String) throws(ControlError) -> String {
        guard let text = try optionalString(key) else { throw missing(key, "a string") }
        return text
    }

    public func optionalString(_ key: String) throws(ControlError) -> String? {
        switch arguments[key] {
        case nil, .null: return nil
        case .string(let text): return text
        default: throw missing(key, "a string")
        }
    }

    public func optionalInteger(_ key: String) throws(ControlError) -> Int64? {
        switch arguments[key] {
        case nil, .null: return nil
        case .integer(let number): return number
        default: throw missing(key, "an integer")
        }
    }

    /// False where it is absent.
    public func flag(_ key: String) throws(ControlError) -> Bool {
        switch arguments[key] {
        case nil, .null: return false
        case .bool(let flag): return flag
        default: throw missing(key, "a boolean")
        }
    }

    public func strings(_ key: String) throws(ControlError) -> [String] {
        guard let elements = arguments[key]?.arrayValue else { throw missing(key, "a list of strings") }
        let texts = elements.compactMap(\.stringValue)
        guard texts.count == elements.count else { throw missing(key, "a list of strings") }
        return texts
    }

    private func missing(_ key: String, _ kind: String) -> ControlError {
        ControlError(.invalid, "the request '\(verb)' needs \(kind) as '\(key)'")
    }
}
