import Foundation
import Testing

/// Each folder may use those before it and none after it.
@Suite struct FolderOrderTests {
    private static let orders: [(target: String, folders: [String])] = [
        (
            "DevmemCore",
            [
                "System", "Address", "Netlink", "Ethtool", "Devices", "Memory", "Steering",
                "Binding", "Socket",
                "Stream", "Session",
            ]
        ),
        ("DevmemTools", ["Processes", "Remote", "Doctor", "Overview", "Validation", "Bench"]),
    ]

    private func files(of target: String) throws -> [SourceFile] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/\(target)").standardized
        let paths = try #require(FileManager.default.enumerator(atPath: folder.path))
        return try paths.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.map {
            SourceFile(
                path: $0, text: try String(contentsOf: folder.appending(path: $0), encoding: .utf8))
        }
    }

    @Test(arguments: orders.map(\.target))
    func noFolderUsesOneAfterIt(target: String) throws {
        let folders = try #require(Self.orders.first { $0.target == target }).folders
        let order = FolderOrder(files: try files(of: target))
        print("\(target), folders in their order and what each uses:\n\(order.table(of: folders))")
        // The check finds enough uses to be meaningful.
        #expect(order.edges.count > folders.count)
        for edge in order.violations(of: folders) { Issue.record("\(edge)") }
    }

    @Test func anEdgeThatRunsBackIsFound() {
        let files = [
            SourceFile(
                path: "Early/First.swift",
                text: """
                    struct First {
                        // Second in a comment and "Second" in a string are not uses.
                        let text = "Second \\(Third.self)"
                        func run() { Early.helper() ; finish(self).late }
                    }
                    """),
            SourceFile(
                path: "Late/Second.swift",
                text: """
                    struct Second {}
                    enum Third {}
                    func finish(_ first: First) -> First { first }
                    extension First { var late: Int { 1 } }
                    """),
        ]
        let order = FolderOrder(files: files)
        #expect(
            order.violations(of: ["Early", "Late"]).map(\.description) == [
                "Early/First.swift:3: Early uses Third of Late, which comes after it (Late/Second.swift)",
                "Early/First.swift:4: Early uses finish of Late, which comes after it (Late/Second.swift)",
                "Early/First.swift:4: Early uses late of Late, which comes after it (Late/Second.swift)",
            ])
        #expect(order.violations(of: ["Late", "Early"]).map(\.name) == ["First"])
        #expect(order.table(of: ["Early", "Late"]) == "Early: Late\nLate: Early")
        // A folder missing from the order is reported.
        #expect(order.violations(of: ["Early"]).count == order.edges.count)
    }

    @Test func anAmbiguousNameIsLeftOut() {
        let late = SourceFile(path: "Late/Second.swift", text: "func words() {}\nfunc note() {}\n")
        let early = SourceFile(
            path: "Early/First.swift",
            text: """
                struct First {
                    func note() {}
                    func run(words: () -> Void) { words(); note() }
                }
                """)
        #expect(FolderOrder(files: [late, early]).edges.isEmpty)
    }
}
