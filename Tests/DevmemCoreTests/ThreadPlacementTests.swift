import Foundation
import Testing

@testable import DevmemCore

private let nodes = [
    NUMANode(number: 0, processors: [0, 1, 2, 3]), NUMANode(number: 2, processors: [4, 5, 6, 7]),
]

private func near(_ allowed: Set<Int>, _ number: Int?, of nodes: [NUMANode] = nodes)
    -> NearProcessors
{
    NearProcessors(allowed: allowed, nodes: nodes, of: { number })
}

@Suite struct ThreadPlacementTests {
    @Test func processorsOfTheNodeThatTheProcessMayUse() {
        let all = near(Set(0..<8), 2)
        #expect(all.processors == [4, 5, 6, 7])
        #expect(all.node == 2)
        #expect(all.reason == "the NIC's NUMA node 2")
        // A mask or cpuset is narrowed and never widened.
        #expect(near([1, 3, 5], 2).processors == [5])
        #expect(near([1, 3, 5], 0).processors == [1, 3])
    }

    @Test func whatIsUnknownLeavesTheMaskAlone() {
        for (choice, reason) in [
            (near([0, 1], 2), "the process may use none of the NIC's NUMA node 2"),
            (near([0, 1], nil), "the NIC's NUMA node is unknown"),
            (near([0, 1], -1), "the NIC's NUMA node is unknown"),
            (near([0, 1], .min), "the NIC's NUMA node is unknown"),
            (near([0, 1], .max), "the NIC's NUMA node \(Int.max) has no processors"),
            (near([0, 1], 1), "the NIC's NUMA node 1 has no processors"),
            (near([0, 1], 0, of: []), "the host has one NUMA node"),
            (near([0, 1], 5, of: [nodes[1]]), "the host has one NUMA node"),
        ] {
            #expect(choice.processors == [0, 1])
            #expect(choice.node == nil)
            #expect(choice.reason == reason)
        }
        #expect(near([], 0).processors == [])
    }

    @Test func nodeIsNotAskedForOnOneNode() {
        _ = NearProcessors(
            allowed: [0], nodes: [nodes[0]],
            of: {
                Issue.record("it is asked for")
                return 0
            })
    }

    @Test func interruptsAreAvoidedIfOthersAreLeft() {
        #expect(NearProcessors.without([4], of: [4, 5]) == [5])
        #expect(NearProcessors.without([4, 5, 6], of: [4, 5]) == [4, 5])
        #expect(NearProcessors.without([], of: [4, 5]) == [4, 5])
        #expect(NearProcessors.without([-1, .max], of: []) == [])
    }

    @Test(
        arguments: [
            ("0", [0]), ("0-3,8", [0, 1, 2, 3, 8]), ("", []), ("5,5,4-5", [4, 5]),
            ("4095-99999999999999999999", [4095]), ("99999999999999999999", []), ("4096-5000", []),
        ] as [(String, Set<Int>)])
    func listsAreRead(text: String, processors: Set<Int>) {
        #expect(Affinity.processors(inList: text) == processors)
    }

    @Test(arguments: ["-1", "1-", "3-1", "0x3", "a", "1-2-3", " 1", "١", "1--2", "9-0,1"])
    func whatIsNoListIsRefused(text: String) {
        #expect(Affinity.processors(inList: text) == nil)
    }

    @Test func listsAreWritten() {
        #expect(Affinity.list(of: [8, 0, 1, 2]) == "0-2,8")
        #expect(Affinity.list(of: []) == "")
        #expect(Affinity.list(of: [-1, .max]) == "0,4294967295")
    }

    @Test func nodesAreReadFromSysfs() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let folder = root.appending(path: "devices/system/node")
        func write(_ path: String, _ text: String) throws {
            let file = folder.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        #expect(NUMANode.all(root: root.path) == [])
        // Node 1 has memory only.
        try write("has_cpu", "0,2-3\n")
        try write("node0/cpulist", "0-3\n")
        try write("node1/cpulist", "\n")
        try write("node2/cpulist", "4-7\n")
        try write("node3/cpulist", "nonsense\n")
        #expect(
            NUMANode.all(root: root.path) == nodes + [NUMANode(number: 3, processors: [])])
        try write("has_cpu", "nonsense\n")
        #expect(NUMANode.all(root: root.path) == [])
    }

    @Test func listedProcessorsAreTakenInTurn() throws {
        let allowed = try Affinity.allowed()
        let first = try #require(allowed.min())
        let placement = try ThreadPlacement(.list([first]), near: nil)
        #expect(placement.reason == nil)
        #expect(placement.list == "\(first)")
        #expect(placement.list(ofThread: 7) == "\(first)")
        #expect(try Affinity.allowed() == allowed)
        try placement.place(thread: 7)
        #expect(try Affinity.allowed() == [first])
        placement.restore()
        #expect(try Affinity.allowed() == allowed)
    }

    /// As after taskset(1), which must not keep the others from being reached.
    @Test func aConfinedThreadReachesEveryProcessor() throws {
        let allowed = try Affinity.allowed()
        let first = try #require(allowed.min())
        try Affinity.confine(to: [first])
        defer { try? Affinity.confine(to: allowed) }
        var visited: Set<Int> = []
        try Affinity.onEach { visited.formUnion((try? Affinity.allowed()) ?? []) }
        #expect(visited.isSuperset(of: allowed))
        #expect(visited.isSubset(of: Affinity.online().union(allowed)))
        #expect(try Affinity.allowed() == [first])
    }

    @Test func processorThatDoesNotExistIsRefusedAndTheMaskKept() throws {
        let allowed = try Affinity.allowed()
        let first = try #require(allowed.min())
        let error = #expect(throws: DevmemError.self) {
            try ThreadPlacement(.list([first, 4095]), near: nil)
        }
        #expect(error?.errno == .invalidArgument)
        #expect(try Affinity.allowed() == allowed)
    }

    @Test func anyLeavesTheMaskAlone() throws {
        let allowed = try Affinity.allowed()
        var placement = try ThreadPlacement(.any, near: nil)
        placement.avoidInterrupts(ofQueues: [0], on: try NetworkInterface(named: "lo"))
        try placement.place(thread: .max)
        placement.restore()
        #expect(try Affinity.allowed() == allowed)
        #expect(placement.processors == allowed)
        #expect(placement.reason == nil)
    }
}
