import Testing

@testable import DevmemCore

@Suite struct MemoryPolicyTests {
    /// Every machine has a node 0. Where the kernel forbids the calls there is no policy.
    @Test func aPreferenceEndsWithTheAllocation() throws {
        let former = MemoryPolicy.Policy()
        let during = try MemoryPolicy.preferring(node: 0) { MemoryPolicy.Policy() }
        #expect(former == nil || during == MemoryPolicy.Policy(preferring: 0) || during == former)
        #expect(MemoryPolicy.Policy() == former)
        #expect(throws: DevmemError.self) {
            try MemoryPolicy.preferring(node: 0) { () throws(DevmemError) -> Int in
                throw DevmemError(.invalid, call: "allocate")
            }
        }
        #expect(MemoryPolicy.Policy() == former)
    }

    @Test(arguments: [nil, -1, 1024, 1023, Int.max, .min])
    func anImpossibleNodeIsNoPreference(node: Int?) throws {
        let former = MemoryPolicy.Policy()
        #expect(try MemoryPolicy.preferring(node: node) { MemoryPolicy.Policy() } == former)
    }
}
