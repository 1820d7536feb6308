import Testing

@testable import DevmemCore

/// Distinguishes a removed NIC from one that moved to another namespace.
@Suite struct NICDisappearanceTests {
    private let start = ContinuousClock.now

    /// During a move the kernel first reports the NIC as down, then no longer lists it, and only
    /// then says where it went.
    @Test func aMoveIsNoRemoval() {
        var absence = NICDisappearance()
        absence.note(NICMonitor.News(isDue: true))
        #expect(absence.judge(at: start) == .undecided)
        absence.note(NICMonitor.News(isDue: true, isGone: true, isMoved: true))
        #expect(absence.judge(at: start + .milliseconds(20)) == .moved)
        // A report by the kernel is remembered.
        #expect(absence.judge(at: start + .seconds(60)) == .moved)
    }

    @Test func theKernelsWordCountsAtOnce() {
        var absence = NICDisappearance()
        absence.note(NICMonitor.News(isDue: true, isGone: true))
        #expect(absence.judge(at: start) == .removed)
    }

    @Test func aLostWordIsNotWaitedForForever() {
        var absence = NICDisappearance()
        #expect(absence.judge(at: start) == .undecided)
        #expect(absence.judge(at: start + .milliseconds(1999)) == .undecided)
        #expect(absence.judge(at: start + .seconds(3)) == .removed)
    }

    @Test func oneThatIsListedAgainIsNotGone() {
        var absence = NICDisappearance()
        absence.note(NICMonitor.News(isDue: true, isGone: true, isMoved: true))
        absence.isListed()
        #expect(absence.judge(at: start + .seconds(9)) == .undecided)
    }
}
