import CDevmem
import Glibc
import SystemPackage

/// What this kernel's io_uring can do for receiving into device memory.
package struct ZerocopySupport: Equatable, Sendable {
    private let registerFlags: UInt64
    private let areaFlags: UInt64
    private let operations: UInt32
    private let features: UInt32

    /// Why it is chosen where it can be had.
    static let benefit = "it costs less than the socket engine"

    /// Returns why memory does not fit for some queues; nil if it does: io_uring takes a whole
    /// dma-buf for each queue (`io_import_dmabuf` of io_uring/zcrx.c). Pure.
    static func obstacle(queues: Int, parts: Int) -> String? {
        guard queues != parts else { return nil }
        return "it takes a dma-buf for each of \(counted(UInt64(queues), "queue")), not \(parts)"
    }

    init(_ answer: cdm_io_uring_query_zcrx) {
        registerFlags = answer.register_flags
        areaFlags = answer.area_flags
        operations = answer.nr_ctrl_opcodes
        features = answer.features
    }

    /// Asks the kernel (`io_query` of io_uring/query.c, Linux 6.18).
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel or its administrator refuses,
    ///   `unsupported` if it does not know the question.
    package init() throws(DevmemError) {
        let call = "ask io_uring for zero-copy receive"
        var answer = cdm_io_uring_query_zcrx()
        var question = cdm_io_uring_query_hdr()
        question.query_op = cdm_IO_URING_QUERY_ZCRX
        question.size = UInt32(MemoryLayout<cdm_io_uring_query_zcrx>.size)
        try withUnsafeMutablePointer(to: &answer) { answer throws(DevmemError) in
            question.query_data = UInt64(UInt(bitPattern: answer))
            _ = try retrying(call) {
                cdm_io_uring_register(-1, cdm_IORING_REGISTER_QUERY, &question, 0)
            }
        }
        guard question.result == 0 else {
            throw DevmemError(
                .unsupported, call: call, errno: Errno(rawValue: 0 &- min(question.result, 0)))
        }
        self.init(answer)
    }

    /// Returns why io_uring cannot receive; nil if nothing speaks against trying. Pure.
    ///
    /// - Parameter pageSize: the size in bytes of the buffers that the NIC fills; nil for one page.
    /// - Returns: the reason.
    func obstacle(pageSize: UInt32?) -> String? {
        guard registerFlags & UInt64(cdm_ZCRX_REG_IMPORT) != 0,
            areaFlags & UInt64(cdm_IORING_ZCRX_AREA_DMABUF) != 0,
            operations > cdm_ZCRX_CTRL_EXPORT
        else { return "this kernel's cannot share a queue between threads (Linux 6.19 can)" }
        guard pageSize == nil || features & cdm_ZCRX_FEATURE_RX_PAGE_SIZE != 0 else {
            return "this kernel's knows no size of buffers (Linux 7.0 does)"
        }
        return nil
    }

    /// Asks this kernel whether io_uring can receive.
    ///
    /// - Parameter pageSize: the size in bytes of the buffers that the NIC fills; nil for one page.
    /// - Returns: why it cannot; nil if nothing speaks against trying.
    static func obstacle(pageSize: UInt32?) -> String? {
        do throws(DevmemError) {
            return try ZerocopySupport().obstacle(pageSize: pageSize)
        } catch {
            return "this kernel has none for device memory (Linux 6.19 has)"
        }
    }

    /// Asks the same, and whether this process may have a ring.
    ///
    /// - Returns: why it cannot receive; nil if nothing speaks against trying.
    package static func obstacle() -> String? {
        if let obstacle = obstacle(pageSize: nil) { return obstacle }
        do throws(DevmemError) {
            try IORing(completions: 8).close()
        } catch {
            return error.description
        }
        return nil
    }
}
