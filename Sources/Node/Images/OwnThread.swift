import Linux

/// An actor on a thread of its own, where system calls may block without holding up the cooperative pool.
///
/// Whoever makes one calls ``stop()`` when nothing of it is under way any more.
protocol OwnThreadActor: Actor {
    nonisolated var loop: EventLoop { get }
}

extension OwnThreadActor {
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    nonisolated func stop() { loop.stop() }
}

/// Runs `body`, which blocks, on a thread made for it.
func onOwnThread<Result: Sendable>(_ body: @Sendable () throws -> Result) async throws -> Result {
    let worker = BlockingCall(loop: try EventLoop(name: "images"))
    defer { worker.stop() }
    return try await worker.run(body)
}

private actor BlockingCall: OwnThreadActor {
    let loop: EventLoop
    init(loop: EventLoop) { self.loop = loop }
    func run<Result: Sendable>(_ body: @Sendable () throws -> Result) throws -> Result { try body() }
}

/// Turns whatever the work inside throws into what the room's callers are promised.
func imageErrors<Result>(
    _ what: String, _ body: () async throws -> Result
) async throws(ImageError) -> Result {
    do { return try await body() } catch { throw ImageError(any: error, what) }
}
