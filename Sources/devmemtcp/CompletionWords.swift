import ArgumentParser
import DevmemCore
import Glibc

/// Words that complete a command line: what this host has, as the shells ask for it.
struct CompletionWords {
    /// Prepended to all paths, for tests.
    var root = ""

    /// The network interfaces of this namespace that have a device if `hasDevice`, the others if not;
    /// all if it is nil.
    func interfaces(hasDevice: Bool? = nil) -> [String] {
        let folder = "\(root)/sys/class/net"
        return names(in: folder).map(String.init).sorted().filter { name in
            // Files such as bonding_masters are not interfaces.
            exists("\(folder)/\(name)/ifindex")
                && (hasDevice.map { $0 == exists("\(folder)/\(name)/device") } ?? true)
        }
    }

    /// The receive queues of an interface.
    func queues(of interface: String) -> [UInt32] {
        names(in: "\(root)/sys/class/net/\(interface)/queues").compactMap { name in
            name.hasPrefix("rx-") ? UInt32(name.dropFirst(3)) : nil
        }.sorted()
    }

    /// The network namespaces that have a name (ip-netns(8)).
    func namespaces() -> [String] { names(in: "\(root)/run/netns").map(String.init).sorted() }

    /// What `--provider` takes.
    func providers() -> [String] {
        let pages = names(in: "\(root)/sys/kernel/mm/hugepages").compactMap { name -> UInt64? in
            guard name.hasPrefix("hugepages-"), name.hasSuffix("kB") else { return nil }
            return UInt64(name.dropFirst(10).dropLast(2))
        }.sorted()
        return ["auto", "udmabuf"] + pages.map { "udmabuf:\(ByteCount.exact($0 << 10))" }
            + names(in: "\(root)/dev/dma_heap").sorted().map { "heap:\($0)" }
            + ["fd:", "unix:", "cuda", "rocm"]
    }

    /// What `--remote` takes.
    func places() -> [String] { namespaces().map { "netns:\($0)" } + ["ssh:"] }

    /// The algorithms of congestion control that the kernel has loaded.
    func congestionControls() -> [String] {
        lines(of: "\(root)/proc/sys/net/ipv4/tcp_available_congestion_control")
            .flatMap { $0.split(separator: " ") }.map(String.init)
    }

    /// The users in passwd(5).
    func users() -> [String] {
        lines(of: "\(root)/etc/passwd").compactMap {
            $0.split(separator: ":").first.map(String.init)
        }
    }

    /// Receive queues that are not on the command line yet.
    ///
    /// - Parameters:
    ///   - words: the command line.
    ///   - index: the word to complete.
    /// - Returns: their numbers.
    func queueNumbers(_ words: [String], at index: Int) -> [String] {
        guard let interface = interface(in: words, at: index) else { return [] }
        let others = words.enumerated().filter { $0.offset != index }.map(\.element)
        return queues(of: interface).map { "\($0)" }.filter { !others.contains($0) }
    }

    /// Continues a list of receive queues: `6-` becomes `6-7`.
    ///
    /// - Parameters:
    ///   - words: the command line.
    ///   - index: the word to complete.
    ///   - typed: the part of the word before the cursor.
    /// - Returns: lists that begin with what is typed.
    func queueLists(_ words: [String], at index: Int, typed: String) -> [String] {
        let known = interface(in: words, at: index).map { queues(of: $0) } ?? []
        guard let separator = typed.lastIndex(where: { $0 == "," || $0 == "-" }) else {
            return ["auto", "last"] + known.map { "\($0)" }
        }
        let head = typed[...separator]
        let numbers = typed[..<separator].split { $0 == "," || $0 == "-" }
        guard typed[separator] == "-" else {
            return known.filter { queue in !numbers.contains { $0 == "\(queue)" } }
                .map { "\(head)\($0)" }
        }
        let first = numbers.last.flatMap { UInt32($0) } ?? 0
        return known.filter { $0 > first }.map { "\(head)\($0)" }
    }

    /// Interfaces to lease a queue to: those without a device, here or in the namespace that is typed.
    ///
    /// - Parameter typed: the part of the word before the cursor.
    /// - Returns: the interfaces, and the namespaces that may have others.
    func lessees(typed: String) -> [String] {
        guard let slash = typed.lastIndex(of: "/") else {
            return interfaces(hasDevice: false).filter { $0 != "lo" }
                + namespaces().map { "\($0)/" }
        }
        let namespace = String(typed[..<slash])
        return interfaceNames(in: namespace).map { "\(namespace)/\($0)" }
    }

    /// Returns the interface that a command line names, as the value of an option or alone.
    private func interface(in words: [String], at index: Int) -> String? {
        let known = interfaces()
        let others = words.enumerated().filter { $0.offset != index }.map(\.element)
        return others.first { known.contains($0) }
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

/// Returns the names of the interfaces in another network namespace; none if it cannot be entered.
private func interfaceNames(in namespace: String) -> [String] {
    let result = try? NetworkNamespace(namespace).run { () throws(DevmemError) -> [String] in
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var names: [String] = []
        var entry = list
        while let name = entry.pointee.if_name {
            names.append(String(cString: name))
            entry += 1
        }
        return names
    }
    return (result ?? []).sorted()
}

extension CompletionKind {
    /// The name of a NIC.
    static var nic: CompletionKind {
        .words { words, _, _, _ in words.interfaces(hasDevice: true) }
    }

    /// The name of any interface.
    static var interface: CompletionKind { .words { words, _, _, _ in words.interfaces() } }

    /// The number of a receive queue.
    static var queue: CompletionKind {
        .words { words, line, index, _ in words.queueNumbers(line, at: index) }
    }

    /// A list of receive queues.
    static var queueList: CompletionKind {
        .words { words, line, index, typed in
            words.queueLists(line, at: index, typed: typed)
        }
    }

    /// An interface to lease a queue to.
    static var lessee: CompletionKind {
        .words { words, _, _, typed in words.lessees(typed: typed) }
    }

    /// A provider of memory.
    static var provider: CompletionKind { .words { words, _, _, _ in words.providers() } }

    /// A place to start the peer in.
    static var place: CompletionKind { .words { words, _, _, _ in words.places() } }

    /// An algorithm of congestion control.
    static var congestionControl: CompletionKind {
        .words { words, _, _, _ in words.congestionControls() }
    }

    /// The name of a user.
    static var user: CompletionKind { .words { words, _, _, _ in words.users() } }

    /// Words that this host has.
    ///
    /// - Parameter list: is called with the command line, the index of the word to complete, and
    ///   the part of that word before the cursor.
    /// - Returns: a completion that asks the command for the words.
    private static func words(
        _ list: @Sendable @escaping (CompletionWords, [String], Int, String) -> [String]
    ) -> CompletionKind {
        .custom { line, index, typed in
            let found = list(CompletionWords(), line, index, typed)
            // zsh takes what follows a colon for a description.
            return CompletionShell.requesting == .zsh
                ? found.map {
                    $0.split(separator: ":", omittingEmptySubsequences: false).joined(
                        separator: "\\:")
                }
                : found
        }
    }
}

/// Completion scripts.
enum CompletionScript {
    /// Makes a script for bash complete words with colons, such as `netns:peer`. Bash splits them
    /// there, and the argument parser's script takes the last part for a word of its own. Also makes
    /// it take words as they are: the name of an interface may be that of a container's.
    ///
    /// - Parameter script: any output of the argument parser.
    /// - Returns: the script; other output as it is.
    static func keepingColons(_ script: String) -> String {
        let end = "\ncomplete -o filenames -F _devmemtcp devmemtcp"
        guard script.hasPrefix("#!/bin/bash\n"), script.hasSuffix(end) else { return script }
        return script.dropLast(end.count) + "\n" + joiningFunction
    }

    private static let joiningFunction = #"""
        # Replaces the function above: compgen expands the words of a list, and would run a command in the
        # name of an interface.
        __devmemtcp_add_completions() {
            local completion
            if [[ "${1}" == -W ]]; then
                set -- -W "$(while IFS='' read -r completion; do
                    if [[ -n "${completion}" ]]; then printf '%q\n' "${completion}"; fi
                done <<<"${2}")"
            fi
            while IFS='' read -r completion; do
                COMPREPLY+=("${completion}")
            done < <(IFS=$'\n' compgen "${@}" -- "${cur}")
        }

        # Joins what bash splits at colons, for the functions above.
        _devmemtcp_joined() {
            local -a joined=()
            local -i index cword=0
            local line=${COMP_LINE} rest cur=
            for index in "${!COMP_WORDS[@]}"; do
                rest=${line#"${line%%[![:space:]]*}"}
                if [[ ${index} -eq 0 || "${rest}" != "${line}" ]]; then joined+=(''); fi
                if [[ ${index} -eq ${COMP_CWORD} ]]; then
                    cword=${#joined[@]}-1
                    # Of a lone colon bash passes nothing.
                    cur=${joined[cword]}${2:-${COMP_WORDS[index]%%[!:]*}}
                fi
                joined[${#joined[@]} - 1]+=${COMP_WORDS[index]}
                line=${rest#"${COMP_WORDS[index]}"}
            done
            local -a COMP_WORDS=("${joined[@]}")
            local -i COMP_CWORD=${cword}
            _devmemtcp "${1}" "${cur}" "${joined[cword - 1]}"

            local reply colons=false unfinished=true
            for reply in "${COMPREPLY[@]}"; do
                if [[ "${reply}" == *:* ]]; then colons=true; fi
                if [[ "${reply}" != *[:/] ]]; then unfinished=false; fi
            done
            # The name of a file would get a backslash before a colon, and any word a space.
            if "${colons}"; then compopt +o filenames 2>/dev/null; fi
            if "${unfinished}"; then compopt -o nospace 2>/dev/null; fi
            # Bash replaces only what follows the last colon.
            if [[ "${cur}" == *:* && "${COMP_WORDBREAKS}" == *:* ]]; then
                COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
            fi
        }

        complete -o filenames -F _devmemtcp_joined devmemtcp
        """#
}
