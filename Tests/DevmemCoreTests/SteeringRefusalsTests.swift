import Testing

@testable import DevmemCore

/// When a request is repeated after a refusal by the driver.
@Suite struct SteeringRefusalsTests {
    private let start = ContinuousClock.now

    @Test func aRefusalIsTriedAgainLater() {
        var refusals = SteeringRefusals()
        #expect(refusals.isDue("a", at: start) && refusals.sentence(of: "a") == nil)
        refusals.note("no", of: "a", at: start)
        #expect(!refusals.isDue("a", at: start + .seconds(29)))
        #expect(refusals.sentence(of: "a") == "no")
        #expect(refusals.isDue("b", at: start))
        #expect(refusals.isDue("a", at: start + .seconds(30)))
        // A repeated refusal starts the delay again.
        refusals.note("no", of: "a", at: start + .seconds(31))
        #expect(!refusals.isDue("a", at: start + .seconds(60)))
    }

    /// A refusal by a device in a reset: retried soon, but not at every wake-up of the watch.
    @Test func temporaryRefusalsAreRetriedSoon() {
        var refusals = SteeringRefusals()
        refusals.note("not yet", of: "a", isTransient: true, at: start)
        #expect(!refusals.isDue("a", at: start + .seconds(1)))
        #expect(refusals.isDue("a", at: start + .seconds(3)))
    }

    @Test func repairedLossesAreForgotten() {
        var refusals = SteeringRefusals()
        refusals.note("no", of: "a", at: start)
        refusals.note("no", of: "b", at: start)
        refusals.keep(["b"])
        #expect(refusals.isDue("a", at: start))
        #expect(!refusals.isDue("b", at: start))
    }
}
