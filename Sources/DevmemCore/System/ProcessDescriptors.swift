import Glibc

/// The open descriptors of a process that may show that it holds a NIC's memory.
package struct ProcessDescriptors: Equatable, Sendable {
    /// Its process id.
    package var pid: Int32
    /// Its name (`/proc/PID/comm`).
    package var name: String
    /// The inodes of its sockets.
    package var sockets: Set<UInt64> = []
    /// The dma-bufs that it has open, each once.
    package var dmabufs: [HeldDmabuf] = []
    /// Whether it has a dma-buf open.
    package var hasDmabuf: Bool { !dmabufs.isEmpty }

    /// Records the target of a link in `/proc/PID/fd`: `socket:[812]`, or `/dmabuf:` and the
    /// buffer's name (`dmabuffs_dname` of drivers/dma-buf/dma-buf.c).
    ///
    /// - Parameters:
    ///   - link: the target.
    ///   - details: returns the lines of its file in `/proc/PID/fdinfo`.
    mutating func note(_ link: Substring, details: () -> [Substring]) {
        if link.hasPrefix("/dmabuf:") {
            let dmabuf = HeldDmabuf(details())
            if dmabuf.inode == nil || !dmabufs.contains(dmabuf) { dmabufs.append(dmabuf) }
        } else if link.hasPrefix("socket:["), let inode = UInt64(link.dropFirst(8).dropLast()) {
            sockets.insert(inode)
        }
    }

    /// Lists the processes whose descriptors are visible, by pid; without CAP_SYS_PTRACE only the
    /// user's own.
    ///
    /// - Parameter own: whether to include this process.
    /// - Returns: the processes.
    package static func all(withOwn own: Bool = false) -> [ProcessDescriptors] {
        let all = names(in: "/proc").compactMap { Int32($0) }.filter { own || $0 != getpid() }
        return all.sorted().compactMap { pid in
            let folder = "/proc/\(pid)/fd"
            let links = names(in: folder)
            guard !links.isEmpty else { return nil }
            var process = ProcessDescriptors(pid: pid, name: nameOfProcess(pid) ?? "?")
            for link in links {
                process.note(target(of: "\(folder)/\(link)")) {
                    lines(of: "/proc/\(pid)/fdinfo/\(link)")
                }
            }
            return process
        }
    }

    private static func target(of link: String) -> Substring {
        var buffer = [CChar](repeating: 0, count: 64)
        // Leave room for a terminating zero.
        return readlink(link, &buffer, buffer.count - 1) > 0
            ? Substring(stringFromCBuffer(buffer)) : ""
    }
}

/// A dma-buf that a process has open, as proc_pid_fdinfo(5) describes it (`dma_buf_show_fdinfo` of
/// drivers/dma-buf/dma-buf.c). Values are nil where the kernel does not tell them.
package struct HeldDmabuf: Hashable, Sendable {
    /// Its size in bytes.
    package var bytes: UInt64?
    /// What made it, as the kernel names it: `udmabuf`, a heap, or a GPU's driver.
    package var exporter: String?
    /// Identifies it (Linux 5.19).
    var inode: UInt64?

    /// Creates a dma-buf from its values.
    package init(bytes: UInt64? = nil, exporter: String? = nil) {
        self.bytes = bytes
        self.exporter = exporter
    }

    /// Reads the lines of a file in `/proc/PID/fdinfo`. Pure.
    init(_ lines: [Substring]) {
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " }
            switch line[..<colon] {
            case "size": bytes = UInt64(value)
            case "exp_name" where !value.isEmpty: exporter = printable(String(value))
            case "ino": inode = UInt64(value)
            default: break
            }
        }
    }
}

/// Returns the name of a process, made safe to print because its owner may choose any; nil if there
/// is no such process.
func nameOfProcess(_ pid: Int32) -> String? {
    lines(of: "/proc/\(pid)/comm").first.map { printable(String($0)) }
}
