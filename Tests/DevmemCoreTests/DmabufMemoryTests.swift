import CDevmem
import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// What a dma-buf's memory does without a dma-buf.
@Suite struct DmabufMemoryTests {
    /// The mappings of a memfd in this process.
    private func mappings(of name: String) -> Int {
        lines(of: "/proc/self/maps").count { $0.contains("memfd:\(name)") }
    }

    private func null() throws(DevmemError) -> Descriptor {
        try Descriptor.open("/dev/null", O_RDWR)
    }

    @Test func memoryIsMappedOnceAndNotBeforeItIsAccessed() throws {
        let name = "devmemtcp-lazy-\(getpid())"
        let file = Descriptor(
            owning: try retrying("memfd_create") { cdm_memfd_create(name, cdm_MFD_CLOEXEC) })
        try retrying("ftruncate") { ftruncate(file.rawValue, 8192) }
        do {
            let memory = DmabufMemory(descriptor: try null(), length: 8192, file: file)
            #expect(memory.size == 8192)
            #expect(mappings(of: name) == 0)
            for _ in 0..<2 {
                try memory.map()
                #expect(mappings(of: name) == 1)
            }
            // The mapping is there, but /dev/null has no DMA_BUF_IOCTL_SYNC.
            #expect(throws: DevmemError.self) {
                try memory.withDeviceBytes { bytes throws(DevmemError) in bytes.count }
            }
            #expect(mappings(of: name) == 1)
        }
        #expect(mappings(of: name) == 0)
    }

    @Test func aMappingThatTheKernelRefusesIsAnError() throws {
        let memory = DmabufMemory(descriptor: try null(), length: 4096)
        for _ in 0..<2 {
            #expect(throws: DevmemError.self) { try memory.map() }
        }
    }
}
