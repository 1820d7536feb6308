import Testing

@testable import DevmemCore

@Suite struct NativeCostsTests {
    @Test func everyFigureIsMeasured() throws {
        let costs = try NativeCosts(rounds: 1)
        for figure in [
            costs.parseNanoseconds, costs.tokenNanoseconds, costs.validationBytesPerSecond,
            costs.memcmpBytesPerSecond,
        ] { #expect(figure > 0 && figure.isFinite) }
    }
}
