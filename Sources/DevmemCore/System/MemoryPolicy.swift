import CDevmem

/// The NUMA nodes that a thread's memory comes from (set_mempolicy(2)).
enum MemoryPolicy {
    /// The most nodes of a kernel, and one more, as the calls count them (`get_nodes` of
    /// mm/mempolicy.c).
    private static let bits = 1025

    /// Whether this machine has more than one node.
    static var hasNodes: Bool {
        lines(of: "/sys/devices/system/node/online").first.map { $0 != "0" } ?? false
    }

    /// Allocates memory on a node, as far as the kernel and its administrator allow: a container may
    /// forbid the call, and a full node is left for another.
    ///
    /// - Parameters:
    ///   - node: the node; nil for no preference.
    ///   - body: allocates, on the calling thread.
    /// - Returns: the result of `body`.
    /// - Throws: what `body` throws.
    static func preferring<Result: ~Copyable>(
        node: Int?, _ body: () throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        guard let node, (0..<bits - 1).contains(node), let former = Policy() else {
            return try body()
        }
        guard Policy(preferring: node).set() else { return try body() }
        defer { _ = former.set() }
        return try body()
    }

    /// A policy of the calling thread.
    struct Policy: Equatable {
        private var mode: Int32
        private var nodes = [UInt](repeating: 0, count: (bits + UInt.bitWidth - 1) / UInt.bitWidth)

        init(preferring node: Int) {
            mode = cdm_MPOL_PREFERRED
            nodes[node / UInt.bitWidth] = 1 << UInt(node % UInt.bitWidth)
        }

        /// Reads the policy; nil if the kernel refuses.
        init?() {
            mode = 0
            guard cdm_get_mempolicy(&mode, &nodes, UInt(bits)) == 0 else { return nil }
        }

        /// Applies the policy, and returns whether the kernel did.
        func set() -> Bool {
            // The default policy takes no nodes; the kernel counts one less.
            cdm_set_mempolicy(mode, nodes, nodes.allSatisfy { $0 == 0 } ? 1 : UInt(bits)) == 0
        }
    }
}
