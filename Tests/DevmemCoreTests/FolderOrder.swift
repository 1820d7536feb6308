/// A source file of a target: its folder, the names that it declares for others, and those that it
/// uses.
struct SourceFile {
    let path: String
    let folder: String
    /// The types, functions and constants declared outside any type, except private ones.
    private(set) var declared: Set<String> = []
    /// The members that extensions add, by the name of the type.
    private(set) var added: [String: Set<String>] = [:]
    /// All names declared inside types.
    private(set) var members: [String] = []
    /// The names of its local variables, parameters and labels.
    private(set) var locals: Set<String> = []
    /// The names used, with and without a leading dot, and the first line of each.
    private(set) var uses: [Use: Int] = [:]

    struct Use: Hashable {
        let name: String
        let followsDot: Bool
    }

    private enum Scope: Equatable {
        case type
        case extended(String)
        case code
    }

    /// - Parameters:
    ///   - path: relative to the target's folder; its first part is the file's folder.
    ///   - text: the file's source.
    init(path: String, text: String) {
        self.path = path
        folder = path.split(separator: "/").count > 1 ? String(path.prefix { $0 != "/" }) : ""
        scan(SourceTokens(text).tokens)
    }

    private mutating func scan(_ tokens: [SourceTokens.Token]) {
        var scopes: [Scope] = []
        var next = Scope.code
        var isPrivate = false
        for (index, token) in tokens.enumerated() {
            let before = index > 0 ? tokens[index - 1].text : ""
            let after = index + 1 < tokens.count ? tokens[index + 1] : nil
            switch token.text {
            case "{":
                scopes.append(next)
                (next, isPrivate) = (.code, false)
            case "}":
                _ = scopes.popLast()
                (next, isPrivate) = (.code, false)
            case "private", "fileprivate":
                isPrivate = after?.text != "("
            case "extension" where scopes.isEmpty:
                next = .extended(after?.text ?? "")
            case "struct", "class", "enum", "protocol", "actor", "typealias", "func", "let", "var",
                "case":
                guard before != ".", let name = after, name.isName, name.text != "func",
                    name.text != "var",
                    name.text != "let"
                else { continue }
                if ["struct", "class", "enum", "protocol", "actor"].contains(token.text) {
                    next = .type
                }
                declare(name.text, in: scopes, isPrivate: isPrivate)
                isPrivate = false
            default:
                guard token.isName else { continue }
                if after?.text == ":" { locals.insert(token.text) }
                let use = Use(name: token.text, followsDot: before == ".")
                if uses[use] == nil { uses[use] = token.line }
            }
        }
    }

    private mutating func declare(_ name: String, in scopes: [Scope], isPrivate: Bool) {
        guard !scopes.contains(.code) else {
            locals.insert(name)
            return
        }
        switch scopes.first {
        case nil:
            if !isPrivate { declared.insert(name) }
        case .extended(let type) where scopes.count == 1:
            members.append(name)
            if !isPrivate { added[type, default: []].insert(name) }
        default:
            members.append(name)
        }
    }
}

/// Finds which folders of a target use which, and where one uses a folder that comes after it.
///
/// A use is recognized by name: of a type, of a function or constant outside types, or of a member
/// that an extension adds to a type of an earlier folder. A name declared in several places, or
/// also as a member in the folder or a local name in the file that uses it, is left out rather than
/// guessed.
struct FolderOrder {
    /// A name used in one folder and declared in another.
    struct Edge: Hashable, CustomStringConvertible {
        let from: String
        let to: String
        let path: String
        let line: Int
        let name: String
        let declaredIn: String

        var description: String {
            "\(path):\(line): \(from) uses \(name) of \(to), which comes after it (\(declaredIn))"
        }
    }

    let edges: [Edge]

    /// - Parameter files: all of one target.
    init(files: [SourceFile]) {
        var globals: [String: [SourceFile]] = [:]
        var memberCounts: [String: Int] = [:]
        var folderMembers: [String: Set<String>] = [:]
        for file in files {
            for name in file.declared { globals[name, default: []].append(file) }
            for name in file.members { memberCounts[name, default: 0] += 1 }
            folderMembers[file.folder, default: []].formUnion(file.members)
        }
        var extended: [String: SourceFile] = [:]
        for file in files {
            for (type, names) in file.added {
                guard let home = globals[type]?.first, home.folder != file.folder else { continue }
                for name in names where memberCounts[name] == 1 && globals[name] == nil {
                    extended[name] = file
                }
            }
        }
        var edges: [Edge] = []
        for file in files {
            for (use, line) in file.uses {
                let home: SourceFile
                if use.followsDot, let declared = extended[use.name] {
                    home = declared
                } else if !use.followsDot, let all = globals[use.name], all.count == 1,
                    folderMembers[file.folder]?.contains(use.name) != true,
                    !file.locals.contains(use.name)
                {
                    home = all[0]
                } else {
                    continue
                }
                guard home.folder != file.folder else { continue }
                edges.append(
                    Edge(
                        from: file.folder, to: home.folder, path: file.path, line: line,
                        name: use.name,
                        declaredIn: home.path))
            }
        }
        self.edges = edges.sorted { ($0.path, $0.line, $0.name) < ($1.path, $1.line, $1.name) }
    }

    /// Returns the uses that violate `order`, or whose folder is not in it.
    func violations(of order: [String]) -> [Edge] {
        edges.filter { edge in
            guard let from = order.firstIndex(of: edge.from), let to = order.firstIndex(of: edge.to)
            else { return true }
            return to > from
        }
    }

    /// Returns one line for each folder, in `order`: its name and the folders that it uses.
    func table(of order: [String]) -> String {
        order.map { folder in
            let used = Set(edges.lazy.filter { $0.from == folder }.map(\.to))
            return "\(folder): " + order.filter(used.contains).joined(separator: " ")
        }.joined(separator: "\n")
    }
}
