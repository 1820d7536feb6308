import DevmemCore
import Foundation
import Glibc
import Logging
import TestSupport
import Testing

@testable import devmemtcp

@Suite struct ReportFileTests {
    private static func path() -> String {
        FileManager.default.temporaryDirectory
            .appending(path: "devmemtcp-report-\(UUID().uuidString)").path
    }

    @Test func aFileGetsTheTextAlone() throws {
        let path = Self.path()
        defer { unlink(path) }
        for text in ["the first one, which is longer\n", "the second\n", ""] {
            try writeFile(path, text, .silent)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    /// A benchmark has blocked signals before it writes its figures to a pipe.
    @Test(arguments: [false, true])
    func aSignalEndsTheWaitForAPipe(hasReader: Bool) async {
        await #expect(processExitsWith: .exitCode(7)) { [hasReader] in
            let path = Self.path()
            guard mkfifo(path, 0o600) == 0 else { exit(1) }
            let reader = hasReader ? open(path, O_RDONLY | O_NONBLOCK) : -1
            guard (reader >= 0) == hasReader, let stop = try? StopSignal.ofUser() else { exit(1) }
            // To this thread: others of a test do not block it.
            raise(SIGTERM)
            do throws(DevmemError) {
                try writeFile(path, String(repeating: "x", count: 200_000), .silent)
                exit(2)
            } catch {
                unlink(path)
                _ = stop
                exit(error.signal == SIGTERM && error.errno == .interrupted ? 7 : 3)
            }
        }
    }

    @Test func aFullDiskIsAnError() {
        let error = #expect(throws: DevmemError.self) { try writeFile("/dev/full", "x", .silent) }
        #expect(error?.errno == .noSpace)
    }
}
