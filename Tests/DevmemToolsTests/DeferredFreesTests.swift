import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct DeferredFreesTests {
    @Test func everyProcessorIsUsedAndNoneIsLost() throws {
        var count = 0
        try Affinity.onEach { count += 1 }
        #expect(count > 0)
        // The affinity is as before.
        var again = 0
        try Affinity.onEach { again += 1 }
        #expect(again == count)
        #expect(flushDeferredFrees() == count)
    }

    @Test func aProcessorOutOfReachMayHoldMemory() {
        #expect(unreturned(4, of: 4) == "the driver does not return them")
        #expect(unreturned(0, of: 0) == "the driver does not return them")
        #expect(unreturned(3, of: 4).contains("1 of 4 could not be reached"))
    }
}
