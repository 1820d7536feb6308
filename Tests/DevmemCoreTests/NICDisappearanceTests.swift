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

    /// What a NIC that the driver detaches looks like, every 100 ms; the last look stays.
    struct Course: CustomTestStringConvertible {
        let testDescription: String
        let looks: [(news: NICMonitor.News, isListed: Bool)]
        let isRemoved: Bool
        let lookCount: Int
    }

    @Test(arguments: [
        Course(
            testDescription: "listed, then not, then reported",
            looks: [
                (NICMonitor.News(), true), (NICMonitor.News(), false),
                (NICMonitor.News(isDue: true, isGone: true), false),
            ], isRemoved: true, lookCount: 3),
        Course(
            testDescription: "moved",
            looks: [
                (NICMonitor.News(), false),
                (NICMonitor.News(isDue: true, isGone: true, isMoved: true), false),
            ], isRemoved: false, lookCount: 2),
        Course(
            testDescription: "back, as after a reset",
            looks: [(NICMonitor.News(), false), (NICMonitor.News(), true)], isRemoved: false,
            lookCount: 20),
        Course(
            testDescription: "not listed late, and never reported",
            looks: [(NICMonitor.News(), true), (NICMonitor.News(), false)], isRemoved: true,
            lookCount: 20),
    ])
    func aDetachedNICIsLookedAtAgain(course: Course) {
        var absence = NICDisappearance()
        var count = 0
        let isRemoved = absence.isRemoved {
            start + .milliseconds(100 * count)
        } look: {
            defer { count += 1 }
            return course.looks[min(count, course.looks.count - 1)]
        } wait: {
            count <= 100
        }
        #expect(isRemoved == course.isRemoved)
        #expect(count == course.lookCount)
    }

    /// Without a descriptor to wait for, it is not looked at for ever.
    @Test func aWaitThatFailsEndsTheLooks() {
        var absence = NICDisappearance()
        var count = 0
        let isRemoved = absence.isRemoved {
            start
        } look: {
            count += 1
            return (NICMonitor.News(), false)
        } wait: {
            false
        }
        #expect(!isRemoved && count == 1)
    }
}
