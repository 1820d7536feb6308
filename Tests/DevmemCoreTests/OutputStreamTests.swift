import CDevmem
import Dispatch
import Glibc
import SystemPackage
import Synchronization
import Testing

@testable import DevmemCore

/// Runs a test with a directory of its own, which is then removed.
private func withFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/devmemtcp-test-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.flatMap { mkdtemp($0) } != nil
    }
    try #require(made)
    let folder = stringFromCBuffer(template)
    defer {
        for name in ["out", "pipe"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }
    try body(folder)
}

private func contents(_ path: String) -> [UInt8] {
    guard let descriptor = try? Descriptor.open(path, O_RDONLY) else { return [] }
    return readAll(descriptor.rawValue)
}

private func readAll(_ number: Int32) -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(number, &buffer, buffer.count)
        guard count > 0 else { return all }
        all += buffer[..<count]
    }
}

/// Extents that alternate between two memories, and the stream that they make.
private func scattered(
    count: Int, size: Int
) -> (extents: [PayloadExtent], device: [UInt8], host: [UInt8], stream: [UInt8]) {
    let device = (0..<count * size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let host = (0..<count * size).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 1) }
    var extents: [PayloadExtent] = []
    var stream: [UInt8] = []
    for index in 0..<count {
        let offset = (count - 1 - index) * size
        extents.append(
            .init(source: index % 2 == 0 ? .device : .host, offset: offset, length: size))
        stream += (index % 2 == 0 ? device : host)[offset..<offset + size]
    }
    return (extents, device, host, stream)
}

@Suite(.serialized) struct OutputStreamTests {
    /// The error is the reason why the file could not be created, not that it is missing.
    @Test func theKernelsReasonIsReported() throws {
        func errno(_ path: String) -> Errno? {
            let error = #expect(throws: DevmemError.self) { _ = try OutputStream(path) }
            return error?.errno
        }
        let inSysfs = errno("/sys/kernel/devmemtcp-test")
        #expect(inSysfs == .notPermitted || inSysfs == .permissionDenied)
        #expect(errno("/nowhere/devmemtcp-test") == .noSuchFileOrDirectory)
        #expect(errno("/dev/null/devmemtcp-test") == .notDirectory)
        #expect(errno("/tmp") == .isDirectory)
    }

    @Test func writesManyExtentsInOrderToAFile() throws {
        try withFolder { folder in
            let parts = scattered(count: 2500, size: 37)
            var stream = try OutputStream("\(folder)/out")
            try stream.begin()
            let signal = try parts.device.withUnsafeBytes { device in
                try parts.host.withUnsafeBytes { host in
                    try stream.write(
                        parts.extents, device: device, host: host, stop: StopSignal())
                }
            }
            #expect(signal == nil)
            #expect(contents("\(folder)/out") == parts.stream)
        }
    }

    /// writev(2) of empty extents alone writes nothing, however often it is repeated.
    @Test(.timeLimit(.minutes(1))) func emptyExtentsAreSkipped() throws {
        try withFolder { folder in
            let bytes = Array("ab".utf8)
            let empty = PayloadExtent(source: .host, offset: 1, length: 0)
            let extents = [
                empty, .init(source: .host, offset: 0, length: 1), empty,
                .init(source: .host, offset: 1, length: 1), empty,
            ]
            var stream = try OutputStream("\(folder)/out")
            for list in [[empty, empty], extents] {
                let signal = try bytes.withUnsafeBytes {
                    try stream.write(list, device: $0, host: $0, stop: StopSignal())
                }
                #expect(signal == nil)
            }
            #expect(contents("\(folder)/out") == bytes)
        }
    }

    /// A shell passes a file that it has written to: `{ echo head; devmemtcp ...; } >out`.
    @Test func standardOutputGoesOnInAFile() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let path = "/tmp/devmemtcp-output-\(getpid())"
            let file = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
            unlink(path)
            guard file >= 0, write(file, "head", 4) == 4, dup2(file, STDOUT_FILENO) == STDOUT_FILENO
            else { exit(1) }
            do throws(DevmemError) {
                var stream = try OutputStream("-")
                try stream.begin()
                guard try stream.write("tail", until: StopSignal()) == nil else { exit(2) }
            } catch {
                exit(3)
            }
            lseek(file, 0, SEEK_SET)
            exit(readAll(file) == Array("headtail".utf8) ? 7 : 4)
        }
    }

    @Test func fileIsEmptiedOnlyOncePayloadComes() throws {
        try withFolder { folder in
            let path = "\(folder)/out"
            do {
                let made = try Descriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
                #expect(write(made.rawValue, "old", 3) == 3)
            }
            let stream = try OutputStream(path)
            #expect(contents(path) == Array("old".utf8))
            stream.abandon()
            #expect(contents(path) == Array("old".utf8))
            try stream.begin()
            #expect(contents(path).isEmpty)
        }
    }

    @Test func onlyFilesAreWrittenDirectlyAndOnlyOnRequest() throws {
        let path = "/var/tmp/devmemtcp-test-\(getpid())"
        defer { unlink(path) }
        #expect(try !OutputStream(path).isDirect)
        let plain = try Descriptor.open(path, O_WRONLY)
        // Some file systems cannot.
        let canBe = cdm_fcntl(plain.rawValue, F_SETFL, Int(cdm_O_DIRECT)) == 0
        #expect(try OutputStream(path, direct: true).isDirect == canBe)
        #expect(try !OutputStream("/dev/null", direct: true).isDirect)
    }

    @Test func fileThatItMadeIsRemovedAgain() throws {
        try withFolder { folder in
            let stream = try OutputStream("\(folder)/out")
            #expect(access("\(folder)/out", F_OK) == 0)
            stream.abandon()
            #expect(access("\(folder)/out", F_OK) == -1)
        }
    }

    @Test func missingFolderIsReportedByName() {
        #expect {
            _ = try OutputStream("/nonexistent/out")
        } throws: {
            ($0 as? DevmemError)?.description
                == "open /nonexistent/out: No such file or directory"
        }
    }

    @Test func slowReaderOfAPipeLosesNothing() throws {
        try withFolder { folder in
            let path = "\(folder)/pipe"
            try #require(mkfifo(path, 0o600) == 0)
            let reader = try Descriptor.open(path, O_RDONLY | O_NONBLOCK)
            var stream = try OutputStream(path)
            let parts = scattered(count: 300, size: 5000)
            // A pipe holds far less, so the writer must wait for each read.
            let number = fcntl(reader.rawValue, F_DUPFD_CLOEXEC, 3)
            _ = fcntl(number, F_SETFL, 0)
            let received = Reader(number)
            let signal = try parts.device.withUnsafeBytes { device in
                try parts.host.withUnsafeBytes { host in
                    try stream.write(
                        parts.extents, device: device, host: host, stop: StopSignal())
                }
            }
            #expect(signal == nil)
            finish(stream)
            #expect(received.result() == parts.stream)
        }
    }

    @Test func signalFreesAWriterWhoseReaderSleeps() throws {
        try withFolder { folder in
            let path = "\(folder)/pipe"
            try #require(mkfifo(path, 0o600) == 0)
            let reader = try Descriptor.open(path, O_RDONLY | O_NONBLOCK)
            var stream = try OutputStream(path)
            let stop = try StopSignal([SIGUSR2])
            pthread_kill(pthread_self(), SIGUSR2)
            let parts = scattered(count: 300, size: 5000)
            let signal = try parts.device.withUnsafeBytes { device in
                try parts.host.withUnsafeBytes { host in
                    try stream.write(parts.extents, device: device, host: host, stop: stop)
                }
            }
            #expect(signal == SIGUSR2)
            _ = reader.rawValue
        }
    }

    /// Threads that receive no signals wait for a pipe's reader too.
    @Test func aPipeWithoutAReaderIsWaitedForUntilTheEnd() throws {
        try withFolder { folder in
            let path = "\(folder)/pipe"
            try #require(mkfifo(path, 0o600) == 0)
            let broadcast = try StopBroadcast()
            var errors: [String] = []
            let error = #expect(throws: DevmemError.self) {
                _ = try OutputStream(path, until: StopSignal(following: broadcast)) {
                    errors.append($0.description)
                    broadcast.announce(SIGTERM)
                }
            }
            #expect(
                errors == ["open \(path): No such device or address, the pipe has no reader"])
            #expect(error?.signal == SIGTERM && error?.errno == .interrupted)
            var reader: Int32 = -1
            var stream = try OutputStream(path, until: StopSignal()) { _ in
                reader = open(path, O_RDONLY | O_NONBLOCK)
            }
            let parts = scattered(count: 3, size: 5)
            _ = try parts.device.withUnsafeBytes { device in
                try parts.host.withUnsafeBytes { host in
                    try stream.write(
                        parts.extents, device: device, host: host, stop: StopSignal())
                }
            }
            try stream.store()
            #expect(readAll(reader) == parts.stream)
            close(reader)
            // A lasting error is reported at once.
            let other = #expect(throws: DevmemError.self) {
                _ = try OutputStream("\(folder)/none/out", until: StopSignal())
            }
            #expect(other?.errno == .noSuchFileOrDirectory)
            let socket = "\(folder)/out"
            var address = try #require(UnixAddress(socket)).storage
            let number = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let size = socklen_t(MemoryLayout<sockaddr_un>.size)
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, size) }
            }
            try #require(result == 0)
            let none = #expect(throws: DevmemError.self) {
                _ = try OutputStream(socket, until: StopSignal())
            }
            #expect(none?.errno == .noSuchAddressOrDevice)
            close(number)
        }
    }

    private func finish(_ stream: consuming OutputStream) {}
}

/// Reads a descriptor to its end in another thread, and closes it.
private final class Reader: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    private let group = DispatchGroup()

    init(_ number: Int32) {
        DispatchQueue.global().async(group: group) {
            let all = readAll(number)
            close(number)
            self.bytes.withLock { $0 = all }
        }
    }

    func result() -> [UInt8] {
        group.wait()
        return bytes.withLock { $0 }
    }
}
