import Netlink
import Testing

@testable import ServiceProxy

private func backends(_ numbers: some Sequence<Int>) -> [Backend] {
    numbers.map { Backend(IPv4Address(0x0af4_0000 + UInt32($0)), 8080) }
}

@Suite struct SlotTests {
    @Test(arguments: 0...16) func fewEndpointsHaveOneSlotEach(count: Int) {
        #expect(Slots.number(for: count) == count)
    }

    @Test func manyEndpointsHaveAtMostAnEighthMoreSlotsAndFewDistinctNumbers() {
        var numbers: Set<Int> = []
        for count in 17...2048 {
            let slots = Slots.number(for: count)
            numbers.insert(slots)
            #expect(slots >= count && slots * 8 <= count * 9 + 8, "\(count) endpoints, \(slots) slots")
        }
        #expect(numbers.count == 56)
    }

    @Test func anEndpointThatGoesLeavesTheOthersWhereTheyAre() {
        let before = Slots.assign(backends(1...10), previous: [])
        let gone = backends([4])[0]
        let after = Slots.assign(backends([1, 2, 3, 5, 6, 7, 8, 9, 10]), previous: before)
        #expect(after.count == before.count)
        #expect(!after.contains(gone))
        for (was, now) in zip(before, after) where was != gone { #expect(was == now) }
    }

    @Test func anEndpointThatTakesAnothersPlaceMovesNothingElse() {
        let before = Slots.assign(backends(1...10), previous: [])
        let after = Slots.assign(backends(2...11), previous: before)
        #expect(zip(before, after).filter { $0 != $1 }.count == 1)
    }

    @Test func slotsShrinkByHalfAtOnceAndExactlyWhenAsked() {
        let before = Slots.assign(backends(1...10), previous: [])
        #expect(Slots.assign(backends(1...6), previous: before).count == 10)
        #expect(Slots.assign(backends(1...5), previous: before).count == 5)
        #expect(Slots.assign(backends(1...6), previous: before, exactly: true).count == 6)
        #expect(Slots.assign([], previous: before).isEmpty)
    }

    @Test(arguments: 1...20) func sharesNeverDifferByMoreThanOneSlot(seed: UInt64) {
        var dice = Dice(state: seed)
        var slots: [Backend] = []
        for _ in 0..<50 {
            let chosen = backends(
                (1...40).filter { _ in Bool.random(using: &dice) }.prefix(Int.random(in: 0...40, using: &dice)))
            slots = Slots.assign(chosen, previous: slots, exactly: Int.random(in: 0..<5, using: &dice) == 0)
            #expect(Set(slots) == Set(chosen))
            guard !chosen.isEmpty else { continue }
            let shares = Dictionary(grouping: slots, by: { $0 }).mapValues(\.count).values
            #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1, "\(shares)")
            #expect(slots.count >= Slots.number(for: chosen.count))
        }
    }
}
