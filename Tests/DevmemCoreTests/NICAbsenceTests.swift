import Testing

@testable import DevmemCore

/// Whether a NIC that is not listed was removed or has moved.
@Suite struct NICAbsenceTests {
    private let start = ContinuousClock.now

    /// While it moves, the kernel says "down", then lists it no longer, and only then says where it is.
    @Test func aMoveIsNoRemoval() {
        var absence = NICAbsence()
        absence.note(NICMonitor.News(isDue: true))
        #expect(absence.judge(at: start) == .undecided)
        absence.note(NICMonitor.News(isDue: true, isGone: true, isMoved: true))
        #expect(absence.judge(at: start + .milliseconds(20)) == .moved)
        // What the kernel has said is not forgotten.
        #expect(absence.judge(at: start + .seconds(60)) == .moved)
    }

    @Test func theKernelsWordCountsAtOnce() {
        var absence = NICAbsence()
        absence.note(NICMonitor.News(isDue: true, isGone: true))
        #expect(absence.judge(at: start) == .removed)
    }

    @Test func aLostWordIsNotWaitedForForever() {
        var absence = NICAbsence()
        #expect(absence.judge(at: start) == .undecided)
        #expect(absence.judge(at: start + .milliseconds(1999)) == .undecided)
        #expect(absence.judge(at: start + .seconds(3)) == .removed)
    }

    @Test func oneThatIsListedAgainIsNotGone() {
        var absence = NICAbsence()
        absence.note(NICMonitor.News(isDue: true, isGone: true, isMoved: true))
        absence.isListed()
        #expect(absence.judge(at: start + .seconds(9)) == .undecided)
    }
}
