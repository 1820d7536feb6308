import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct DeferredFreesTests {
    @Test func everyProcessorOfTheThreadIsUsedAndNoneIsLost() throws {
        var count = 0
        try Affinity.onEach { count += 1 }
        #expect(count > 0)
        // The affinity is as before.
        var again = 0
        try Affinity.onEach { again += 1 }
        #expect(again == count)
        #expect(flushDeferredFrees() == count)
    }
}
