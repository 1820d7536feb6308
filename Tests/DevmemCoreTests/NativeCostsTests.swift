import Testing

@testable import DevmemCore

@Suite struct NativeCostsTests {
    @Test func everyFigureIsMeasured() throws {
        let costs = try NativeCosts(rounds: 1)
        for figure in [
            costs.parseNanoseconds, costs.tokenNanoseconds, costs.validationBytesPerSecond,
            costs.memcmpBytesPerSecond,
        ] { #expect(figure > 0 && figure.isFinite) }
        // Far from what any machine needs or can.
        #expect(costs.parseNanoseconds < 1e6 && costs.tokenNanoseconds < 1e6)
        #expect(costs.validationBytesPerSecond > 1e3 && costs.memcmpBytesPerSecond > 1e3)
    }
}
