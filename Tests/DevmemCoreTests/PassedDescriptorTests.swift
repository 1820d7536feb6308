import CDevmem
import Foundation
import Glibc
import Logging
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore

/// A dma-buf that passes through a unix socket. A memory file stands in for it where nothing looks
/// at the kind.
@Suite final class PassedDescriptorTests {
    private let folder: String

    init() throws {
        folder =
            FileManager.default.temporaryDirectory
            .appending(path: "devmemtcp-passed-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private var path: String { "\(folder)/socket" }

    private func server(_ text: String = "{}\n") throws(DevmemError) -> DmabufServer {
        let file = Descriptor(owning: try retrying("memfd_create") { cdm_memfd_create("x", 0) })
        try retrying("grow") { ftruncate(file.rawValue, 8192) }
        let memory = DmabufMemory(descriptor: file, length: 8192)
        return try DmabufServer(
            at: path, for: BoundMemory(memory, receiveID: 7, transmitID: nil), with: text,
            logger: .silent)
    }

    /// Receives on another thread while this one serves.
    private func receive(_ server: DmabufServer) throws -> (size: Int, text: String) {
        let result = Mutex<(Int, String)?>(nil)
        let done = Mutex(false)
        let path = path
        try runInThread {
            var text = ""
            if let found = try? PassedDescriptor.receive(from: path, &text) {
                result.withLock { $0 = (Int(lseek(found.rawValue, 0, SEEK_END)), text) }
            }
            done.withLock { $0 = true }
        }
        #expect(try poll(server.rawValue, for: .input, milliseconds: 10_000))
        server.serve()
        try awaitCondition("it has come") { () throws(DevmemError) in done.withLock { $0 } }
        return try #require(result.withLock { $0 })
    }

    @Test func eachProgramGetsTheDescriptorAndTheText() throws {
        let server = try server(#"{"rx_id":7}"#)
        for _ in 0..<3 {
            let found = try receive(server)
            #expect(found.size == 8192)
            #expect(found.text == #"{"rx_id":7}"#)
        }
        // Nobody waits.
        server.serve()
    }

    @Test func theSocketIsItsOwnersAndIsRemoved() throws {
        do {
            let server = try server()
            var status = stat()
            #expect(lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
            #expect(server.rawValue >= 0)
        }
        #expect(access(path, F_OK) != 0)
    }

    /// One that nobody listens on is replaced, one in use and any other file is not.
    @Test func onlyAnAbandonedSocketIsReplaced() throws {
        let first = try server()
        #expect { _ = try server() } throws: {
            ($0 as? DevmemError)?.errno == .addressInUse
        }
        // The second has only looked whether anybody listens.
        first.serve()
        _ = try receive(first)
        let other = "\(folder)/other"
        let abandoned = Descriptor(
            owning: socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0))
        let address = try #require(UnixAddress(other))
        let code = address.withSocketAddress { bind(abandoned.rawValue, $0, $1) }
        #expect(code == 0)
        try abandoned.close("it")
        let file = try DmabufMemory(descriptor: .open("/dev/null", O_RDWR), length: 4096)
        let memory = BoundMemory(file, receiveID: nil, transmitID: nil)
        _ = try DmabufServer(at: other, for: memory, with: "x", logger: .silent)
        try Descriptor.open(other, O_CREAT | O_WRONLY, mode: 0o600).close("a file")
        #expect {
            _ = try DmabufServer(at: other, for: memory, with: "x", logger: .silent)
        } throws: {
            ($0 as? DevmemError)?.errno == .addressInUse
        }
        #expect(access(other, F_OK) == 0)
    }

    /// Whoever waits for the dma-buf is not served, and the log says why.
    @Test func aProgramThatCannotBeAcceptedIsLogged() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let log = LoggedLines()
            let path = "/tmp/devmemtcp-passed-\(getpid())"
            let file = try DmabufMemory(descriptor: .open("/dev/null", O_RDWR), length: 4096)
            let server = try DmabufServer(
                at: path, for: BoundMemory(file, receiveID: nil, transmitID: nil), with: "x",
                logger: Logger(label: "test") { _ in RecordingLogHandler(log) })
            let caller = socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0)
            let code = UnixAddress(path)?.withSocketAddress { connect(caller, $0, $1) }
            guard code == 0 else { exit(1) }
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            // The caller comes back at once, because the program still waits.
            let start = ContinuousClock.now
            for _ in 0..<3 { server.serve() }
            guard ContinuousClock.now - start >= .milliseconds(150) else { exit(3) }
            unlink(path)
            guard log.lines.count == 1 else { exit(4) }
            exit(log.lines.contains { $0.hasPrefix("warning: accept a program") } ? 7 : 2)
        }
    }

    @Test(arguments: ["", "relative", "@abstract", "/" + String(repeating: "x", count: 108)])
    func whatIsNoPathIsRefused(path: String) throws {
        let file = try DmabufMemory(descriptor: .open("/dev/null", O_RDWR), length: 4096)
        let memory = BoundMemory(file, receiveID: nil, transmitID: nil)
        #expect {
            _ = try DmabufServer(at: path, for: memory, with: "x", logger: .silent)
        } throws: {
            ($0 as? DevmemError)?.kind == .invalid
        }
    }

    /// What a program sends that hands over no dma-buf, or several, or says nothing.
    @Test(arguments: [0, 2])
    func whatIsNotOneDescriptorIsRefused(count: Int) throws {
        let listener = Descriptor(
            owning: socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0))
        let address = try #require(UnixAddress(path))
        #expect(address.withSocketAddress { bind(listener.rawValue, $0, $1) } == 0)
        #expect(listen(listener.rawValue, 1) == 0)
        let number = listener.rawValue
        try runInThread {
            let peer = Descriptor(owning: cdm_accept4(number, nil, nil, cdm_SOCK_CLOEXEC))
            var data: [UInt8] = [1]
            var control = [UInt8](repeating: 0, count: 64)
            data.withUnsafeMutableBytes { data in
                control.withUnsafeMutableBytes { control in
                    control.storeBytes(
                        of: cdm_cmsghdr(
                            cmsg_len: 16 + 4 * count, cmsg_level: SOL_SOCKET,
                            cmsg_type: cdm_SCM_RIGHTS), as: cdm_cmsghdr.self)
                    for place in 0..<count {
                        control.storeBytes(
                            of: Int32(0), toByteOffset: 16 + 4 * place, as: Int32.self)
                    }
                    var vector = iovec(iov_base: data.baseAddress, iov_len: 1)
                    withUnsafeMutablePointer(to: &vector) { vector in
                        var message = msghdr()
                        message.msg_iov = vector
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = count == 0 ? 0 : 16 + 8 * ((count + 1) / 2)
                        _ = sendmsg(peer.rawValue, &message, cdm_MSG_NOSIGNAL)
                    }
                }
            }
        }
        var text = ""
        #expect { _ = try PassedDescriptor.receive(from: path, &text) } throws: {
            ($0 as? DevmemError)?.kind == .malformed
        }
    }

    /// A program that never accepts does not keep this one waiting.
    @Test func aProgramThatAcceptsNobodyIsGivenUp() throws {
        let listener = Descriptor(
            owning: socket(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0))
        let address = try #require(UnixAddress(path))
        #expect(address.withSocketAddress { bind(listener.rawValue, $0, $1) } == 0)
        #expect(listen(listener.rawValue, 0) == 0)
        let flags = cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC | cdm_SOCK_NONBLOCK
        var waiting: [Int32] = []
        defer { for number in waiting { close(number) } }
        repeat {
            waiting.append(socket(AF_UNIX, flags, 0))
        } while address.withSocketAddress {
            connect(waiting[waiting.count - 1], $0, $1)
        } == 0
        #expect(errno == EAGAIN)
        let result = Mutex<Errno?>(nil)
        let path = path
        try runInThread {
            var text = ""
            do throws(DevmemError) {
                _ = try PassedDescriptor.receive(from: path, &text, within: 100)
            } catch {
                result.withLock { $0 = error.errno }
            }
        }
        do throws(DevmemError) {
            try awaitCondition("it gives up") { () throws(DevmemError) in
                result.withLock { $0 != nil }
            }
        } catch {
            // The thread must not wait for ever.
            shutdown(listener.rawValue, Int32(SHUT_RDWR))
            throw error
        }
        #expect(result.withLock { $0 } == .timedOut)
    }

    /// What a user puts in the place of the socket keeps its owner.
    @Test func onlyTheSocketIsGivenAway() throws {
        let other = "\(folder)/other"
        try Descriptor.open(other, O_CREAT | O_WRONLY, mode: 0o600).close("a file")
        let server = try server()
        try #require(link(path, "\(folder)/name") == 0 && symlink("socket", "\(folder)/link") == 0)
        for name in ["other", "link", "name"] {
            #expect { try DmabufServer.give("\(folder)/\(name)", to: 65534) } throws: {
                ($0 as? DevmemError)?.kind == .invalid
            }
        }
        var status = stat()
        #expect(lstat(other, &status) == 0 && status.st_uid == geteuid())
        #expect(lstat(path, &status) == 0 && status.st_uid == geteuid())
        try #require(unlink("\(folder)/name") == 0)
        guard geteuid() == 0 else { return }
        try DmabufServer.give(path, to: 65534)
        #expect(lstat(path, &status) == 0 && status.st_uid == 65534)
        #expect(server.rawValue >= 0)
    }

    /// Descriptors that are open but no dma-bufs, and one that is not open.
    @Test(arguments: ["/dev/null", "/dev/zero", "/etc/passwd"])
    func whatIsNoDmabufIsRefused(path: String) throws {
        let file = try Descriptor.open(path, O_RDONLY)
        #expect {
            _ = try DmabufMemory(size: 4096, provider: .descriptor(file.rawValue))
        } throws: {
            ($0 as? DevmemError)?.description.contains("it is not a dma-buf") == true
        }
        #expect { _ = try DmabufMemory(size: 4096, provider: .descriptor(99_999)) } throws: {
            ($0 as? DevmemError)?.errno == .badFileDescriptor
        }
        #expect { _ = try DmabufMemory(size: 4096, provider: .socket("/no/such")) } throws: {
            ($0 as? DevmemError)?.errno == .noSuchFileOrDirectory
        }
    }

    @Test(arguments: [
        "auto", "udmabuf", "udmabuf:2M", "udmabuf:1G", "heap:system", "fd:0", "fd:2147483647",
        "unix:/run/x", "unix:@x", "cuda", "cuda:0", "cuda:GPU-1f", "cuda:0000:3b:00.0",
        "cuda:near:eth1",
    ])
    func providersAreReadAsTheyAreWritten(text: String) {
        #expect(MemoryProvider(text)?.description == text)
    }

    @Test(arguments: [
        "", ":", "udmabuf:", "udmabuf:3M", "udmabuf:4096", "udmabuf:99999999999999999999",
        "heap:", "heap:a/b", "fd:", "fd:-1", "fd:2147483648", "fd:x", "unix:", "unix:x", "cuda:",
        "cuda:x",
        "unix:/" + String(repeating: "x", count: 200),
    ])
    func whatIsNoProviderIsRefused(text: String) {
        #expect(MemoryProvider(text) == nil)
    }
}
