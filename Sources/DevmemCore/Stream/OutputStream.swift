import CDevmem
import Glibc
import SystemPackage

/// Writes payload to a file, a pipe, a terminal or a socket. A slow reader blocks the writer until
/// a signal arrives.
package struct OutputStream: SessionSink, ~Copyable {
    /// Nil after `store()`.
    private var descriptor: Descriptor?
    private let number: Int32
    private let name: String
    private let isSocket: Bool
    private let createdPath: String?
    private var vectors: [iovec] = []
    private var direct: DirectWriter?

    /// Opens the destination: standard output for `-`, otherwise a file, which is created if
    /// needed. An existing file keeps its contents until `begin()`.
    ///
    /// - Parameters:
    ///   - path: the destination.
    ///   - direct: whether to write with O_DIRECT (open(2)) if the file system supports it; see
    ///     `isDirect`.
    /// - Throws: `DevmemError` of kind `system` if open(2) fails.
    package init(_ path: String, direct: Bool = false) throws(DevmemError) {
        var isNew = false
        let descriptor = try Self.open(path, waits: true, isNew: &isNew)
        try self.init(path, direct: direct, descriptor, isNew: isNew)
    }

    private init(
        _ path: String, direct: Bool, _ descriptor: consuming Descriptor, isNew: Bool
    ) throws(DevmemError) {
        let kind = Self.kind(of: descriptor.rawValue)
        let writesDirectly = direct && (kind == S_IFREG || kind == S_IFBLK)
        let writer = try Self.directWriter(writesDirectly, to: descriptor.rawValue, name: path)
        self.init(
            descriptor, name: path == "-" ? "standard output" : path, isSocket: kind == S_IFSOCK,
            createdPath: isNew ? path : nil, direct: writer)
    }

    private init(
        _ descriptor: consuming Descriptor, name: String, isSocket: Bool, createdPath: String?,
        direct: consuming DirectWriter?
    ) {
        self.name = name
        self.isSocket = isSocket
        self.createdPath = createdPath
        vectors.reserveCapacity(DirectWriter.maximumVectors)
        self.direct = direct
        number = descriptor.rawValue
        self.descriptor = consume descriptor
    }

    /// Whether writes bypass the page cache.
    package var isDirect: Bool {
        switch direct {
        case .some(let writer): writer.isDirect
        case .none: false
        }
    }

    /// The number of bytes written from device memory without a copy; nil unless `direct` was set.
    var directBytes: UInt64? {
        switch direct {
        case .some(let writer): writer.directBytes
        case .none: nil
        }
    }

    /// Writes buffered bytes; call it after the last payload.
    ///
    /// - Throws: `DevmemError` of kind `system` if write(2) fails.
    package mutating func finish() throws(DevmemError) {
        try direct?.finish()
    }

    /// Writes a file's data to the disk and closes the file; call it last. Standard output stays
    /// open.
    ///
    /// - Throws: `DevmemError` of kind `system` if fsync(2) or close(2) fails.
    package mutating func store() throws(DevmemError) {
        guard name != "standard output", let open = descriptor.take() else { return }
        try syncToDisk(number, name: name)
        try open.close(name)
    }

    package var needs: PayloadNeeds { .bytes }

    package var findings: SinkFindings { SinkFindings(directBytes: directBytes) }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try write(payload.extents, device: payload.device, host: payload.host, stop: stop)
    }

    /// Returns why the destination cannot be opened yet, if that is temporary: the pipe has no
    /// reader, or no descriptor is free.
    private static func temporaryObstacle(_ error: DevmemError, at path: String) -> DevmemError? {
        switch error.errno {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem: return error
        case .noSuchAddressOrDevice where kind(at: path) == S_IFIFO:
            var failure = error
            failure.message = "the pipe has no reader"
            return failure
        default: return nil
        }
    }

    /// The delay between two attempts in milliseconds.
    private static let pause: Int32 = 50

    /// Opens the destination like `init(_:direct:)`, for threads in which signals are blocked.
    /// Waits until a pipe has a reader or a descriptor is free.
    ///
    /// - Parameters:
    ///   - path: the destination.
    ///   - direct: whether to write with O_DIRECT if the file system supports it.
    ///   - stop: ends the wait.
    ///   - waiting: called once with the reason for the wait.
    /// - Throws: `DevmemError` of kind `system` if open(2) fails, or with EINTR and the signal if
    ///   the wait was stopped.
    package init(
        _ path: String, direct: Bool = false, until stop: borrowing StopSignal,
        waiting: (DevmemError) -> Void = { _ in }
    ) throws(DevmemError) {
        var isNew = false
        let descriptor = try Self.open(path, isNew: &isNew, until: stop, waiting)
        try self.init(path, direct: direct, descriptor, isNew: isNew)
    }

    private static func open(
        _ path: String, isNew: inout Bool, until stop: borrowing StopSignal,
        _ waiting: (DevmemError) -> Void
    ) throws(DevmemError) -> Descriptor {
        var isTold = false
        while true {
            do throws(DevmemError) {
                return try open(path, waits: false, isNew: &isNew)
            } catch {
                guard let reason = temporaryObstacle(error, at: path) else { throw error }
                if !isTold { waiting(reason) }
                isTold = true
            }
            guard let signal = try stop.wait(milliseconds: pause) else { continue }
            throw DevmemError.interrupted("open \(path)", by: signal)
        }
    }

    private static func open(
        _ path: String, waits: Bool, isNew: inout Bool
    ) throws(DevmemError) -> Descriptor {
        guard path != "-" else { return try standardOutput() }
        do throws(DevmemError) {
            let made = try OutputPath.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666)
            isNew = true
            return made
        } catch {
            guard error.errno == .fileExists else { throw error }
        }
        // Opening a pipe blocks until it has a reader, and some terminals until they have a
        // carrier.
        let flags = waits || kind(at: path) == S_IFREG ? 0 : O_NONBLOCK
        let existing = try OutputPath.open(path, O_WRONLY | O_CREAT | flags, mode: 0o666)
        if kind(of: existing.rawValue) != S_IFREG {
            try retrying("write to \(path)") { fcntl(existing.rawValue, F_SETFL, O_NONBLOCK) }
        }
        return existing
    }

    private static func directWriter(
        _ isWanted: Bool, to number: Int32, name: String
    ) throws(DevmemError) -> DirectWriter? {
        guard isWanted, cdm_fcntl(number, F_SETFL, Int(cdm_O_DIRECT)) == 0 else { return nil }
        return try DirectWriter(to: number, name: name)
    }

    /// Returns a descriptor for standard output. A pipe or terminal is opened again, because
    /// non-blocking mode belongs to the open file description, which other processes share.
    private static func standardOutput() throws(DevmemError) -> Descriptor {
        let kind = kind(of: STDOUT_FILENO)
        if kind == S_IFIFO || kind == S_IFCHR {
            let again = try? Descriptor.open(
                "/proc/self/fd/\(STDOUT_FILENO)", O_WRONLY | O_NONBLOCK | O_NOCTTY)
            if let again { return again }
        }
        let copy = try retrying("write to standard output") {
            fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        }
        return Descriptor(owning: copy)
    }

    private static func kind(at path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    private static func kind(of number: Int32) -> mode_t {
        var status = stat()
        return fstat(number, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    /// Truncates a file before the first payload is written.
    ///
    /// - Throws: `DevmemError` of kind `system` if ftruncate(2) fails.
    package func begin() throws(DevmemError) {
        guard name != "standard output" else { return }
        try truncateFile(number, name: name)
    }

    /// Removes the file if this value created it, for a session that received nothing.
    package func abandon() {
        if let createdPath { unlink(createdPath) }
    }

    /// Writes a whole text.
    ///
    /// - Returns: the signal that ended the call early; nil if all is written.
    /// - Throws: `DevmemError` of kind `system` if writev(2) or poll(2) fails.
    package mutating func write(
        _ text: String, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        let bytes = Array(text.utf8)
        let whole = PayloadExtent(source: .host, offset: 0, length: bytes.count)
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return try bytes.span.withUnsafeBytes { host throws(DevmemError) in
            try write([whole], device: none, host: host, stop: stop)
        }
    }

    /// Writes all extents in order.
    ///
    /// - Returns: the signal that ended the call early; nil if all is written.
    /// - Throws: `DevmemError` of kind `system` if writev(2) or poll(2) fails.
    mutating func write(
        _ extents: [PayloadExtent], device: UnsafeRawBufferPointer,
        host: UnsafeRawBufferPointer, stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        if directBytes != nil {
            for extent in extents {
                let memory = extent.source == .device ? device : host
                try direct?.write(
                    UnsafeRawBufferPointer(
                        rebasing: memory[extent.offset..<extent.offset + extent.length]))
            }
            try direct?.flush()
            return nil
        }
        var next = 0
        // The bytes of extent `next` that are already written.
        var skip = 0
        while next < extents.count {
            // An empty one would be written without end.
            guard extents[next].length > skip else {
                next += 1
                skip = 0
                continue
            }
            vectors.removeAll(keepingCapacity: true)
            for (index, extent) in extents[next...].prefix(DirectWriter.maximumVectors).enumerated()
            {
                let memory = extent.source == .device ? device : host
                let start = extent.offset + (index == 0 ? skip : 0)
                let bytes = UnsafeMutableRawBufferPointer(
                    mutating: UnsafeRawBufferPointer(
                        rebasing: memory[start..<extent.offset + extent.length]))
                vectors.append(iovec(iov_base: bytes.baseAddress, iov_len: bytes.count))
            }
            var written = writeVectors()
            if written < 0 {
                let code = Errno(rawValue: errno)
                guard code == .wouldBlock || code == .interrupted else {
                    throw DevmemError(.system, call: "write to \(name)", errno: code)
                }
                if case .stopped(let signal) = try stop.wait(
                    for: number, events: Int32(POLLOUT))
                {
                    return signal
                }
                continue
            }
            while written > 0 {
                let left = extents[next].length - skip
                let part = min(left, written)
                written -= part
                skip += part
                if part == left {
                    next += 1
                    skip = 0
                }
            }
        }
        return nil
    }

    private mutating func writeVectors() -> Int {
        let number = number
        let isSocket = isSocket
        return vectors.withUnsafeMutableBufferPointer { vectors in
            guard isSocket else { return writev(number, vectors.baseAddress, Int32(vectors.count)) }
            var message = msghdr()
            message.msg_iov = vectors.baseAddress
            message.msg_iovlen = vectors.count
            return sendmsg(number, &message, cdm_MSG_DONTWAIT | cdm_MSG_NOSIGNAL)
        }
    }
}
