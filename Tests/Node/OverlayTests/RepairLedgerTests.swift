import Testing

@testable import Overlay

/// How often a repair is made.
@Suite struct RepairLedgerTests {
    private let start = ContinuousClock.now
    private let subject = Repair.Subject.device("swiftlet.1")
    private let failure = OverlayProblem(.refused, "swiftlet.1", "no")

    @Test func aBurstIsRepairedAtOnceAndThenEverMoreRarely() {
        var ledger = RepairLedger()
        var now = start
        for _ in 0..<RepairLedger.burst {
            #expect(ledger.allows(subject, at: now))
            ledger.note(subject, failure: nil, at: now)
            now += .milliseconds(10)
        }
        #expect(ledger.problems { _ in "x" }.isEmpty)
        for delay in [1, 2, 4, 8, 16, 30, 30] {
            #expect(ledger.allows(subject, at: now))
            ledger.note(subject, failure: nil, at: now)
            #expect(!ledger.allows(subject, at: now + .seconds(delay) - .milliseconds(1)))
            #expect(ledger.nextInstant(after: now) == now + .seconds(delay))
            now += .seconds(delay)
        }
        #expect(ledger.problems { _ in "x" }.map(\.kind) == [.contested])
        // Left alone for a while, it is over.
        ledger.forgetOld(at: now + RepairLedger.window + .milliseconds(1))
        #expect(ledger.problems { _ in "x" }.isEmpty)
    }

    @Test func repairsFarApartAreNoQuarrel() {
        var ledger = RepairLedger()
        for round in 0..<100 {
            let now = start + RepairLedger.window * round * 2
            #expect(ledger.allows(subject, at: now))
            ledger.note(subject, failure: nil, at: now)
        }
        #expect(ledger.problems { _ in "x" }.isEmpty)
    }

    @Test func whatIsRefusedIsTriedAgainAndToldUntilItIsAccepted() {
        var ledger = RepairLedger()
        ledger.note(subject, failure: failure, at: start)
        #expect(!ledger.allows(subject, at: start + .milliseconds(999)))
        #expect(ledger.allows(subject, at: start + .seconds(1)))
        #expect(ledger.problems { _ in "x" } == [failure])
        ledger.note(subject, failure: nil, at: start + .seconds(1))
        #expect(ledger.problems { _ in "x" }.isEmpty)
        #expect(ledger.allows(subject, at: start + .seconds(1)))
    }

    @Test func anotherPlanBeginsAnew() {
        var ledger = RepairLedger()
        ledger.note(subject, failure: failure, at: start)
        ledger.forget(subject)
        #expect(ledger.allows(subject, at: start))
        #expect(ledger.nextInstant(after: start) == nil)
    }
}
