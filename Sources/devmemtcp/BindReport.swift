import DevmemCore
import DevmemTools
import Glibc

/// The report of `bind`.
struct BindReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, interface, queues, pid
        case receiveID = "rx_id"
        case transmitID = "tx_id"
        case size = "dmabuf_bytes"
        case pageSize = "page_size"
        case descriptor = "dmabuf_fd"
    }

    let version = 1
    var interface: String
    var queues: [UInt32]
    var receiveID: UInt32?
    var transmitID: UInt32?
    var size: UInt64
    var pageSize: UInt32?
    var pid: Int32
    var descriptor: Int32

    /// The report as text.
    var line: String {
        var parts = ["dma-buf of \(size) bytes"]
        if let receiveID { parts.append("rx id \(receiveID) on queues \(queueList(queues))") }
        if let transmitID { parts.append("tx id \(transmitID)") }
        return "\(interface): \(parts.joined(separator: ", "))"
    }

    /// The environment variables that a command gets.
    var environment: [String: String] {
        var variables = [
            "DEVMEMTCP_DMABUF_FD": "\(ChildProcess.inheritedDescriptor)",
            "DEVMEMTCP_INTERFACE": interface, "DEVMEMTCP_SIZE": "\(size)",
        ]
        if let receiveID {
            variables["DEVMEMTCP_RX_ID"] = "\(receiveID)"
            variables["DEVMEMTCP_QUEUES"] = queues.map { "\($0)" }.joined(separator: ",")
        }
        if let transmitID { variables["DEVMEMTCP_TX_ID"] = "\(transmitID)" }
        return variables
    }
}

extension BindReport {
    init(_ nic: borrowing BoundNIC, pageSize: UInt32?) {
        let memory = nic.memory
        self.init(
            interface: nic.interface.name, queues: nic.queues, receiveID: memory.receiveID,
            transmitID: memory.transmitID, size: memory.dmabuf.size, pageSize: pageSize,
            pid: getpid(), descriptor: memory.dmabuf.descriptor.rawValue)
    }
}
