import CDevmem

/// The ring, shared with the kernel, in which fragments go back to the NIC
/// (`io_zcrx_ring_refill` of the kernel's io_uring/zcrx.c). One owner at a time writes it.
struct RefillRing: ~Copyable, Sendable {
    /// The size of an entry in bytes.
    static let stride = MemoryLayout<cdm_io_uring_zcrx_rqe>.stride

    private let mapping: Mapping
    private let places: SharedRing
    private let area: ZerocopyArea
    /// The entries written so far, modulo 2^32.
    private var tail: UInt32 = 0

    /// - Parameters:
    ///   - mapping: the ring's memory.
    ///   - places: where its parts are in it.
    ///   - area: the part of the memory that the fragments are of.
    init(_ mapping: consuming Mapping, _ places: SharedRing, of area: ZerocopyArea) {
        self.mapping = mapping
        self.places = places
        self.area = area
    }

    /// The number of free entries; 0 if the kernel's head is impossible.
    var room: Int {
        let used = tail &- mapping.loadAcquiring(at: places.head)
        return used <= places.count ? Int(places.count - used) : 0
    }

    /// Writes fragments for the kernel, as many as there is room for, and removes them.
    mutating func write(_ fragments: inout [ZerocopyFragment]) {
        let count = min(room, fragments.count)
        for fragment in fragments.prefix(count) { put(fragment) }
        mapping.storeReleasing(tail, at: places.tail)
        fragments.removeFirst(count)
    }

    private mutating func put(_ fragment: ZerocopyFragment) {
        let place = places.entries + places.index(tail) * Self.stride
        mapping.withUnsafeMutableBytes {
            $0.storeBytes(
                of: cdm_io_uring_zcrx_rqe(
                    off: area.place(of: fragment), len: UInt32(fragment.length), pad: 0),
                toByteOffset: place, as: cdm_io_uring_zcrx_rqe.self)
        }
        tail &+= 1
    }

    /// Unmaps the ring.
    consuming func close() { drop(mapping) }
}
