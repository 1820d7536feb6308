import ArgumentParser
import Foundation
import Testing

@testable import devmemtcp

/// A folder with what the words are read from, which is deleted at the end.
private final class Host {
    let folder = URL(filePath: "/tmp/devmemtcp-completion-\(UUID().uuidString)")
    var words: CompletionWords { CompletionWords(root: folder.path) }

    init() throws {
        for (interface, queues) in ["eth1": 4, "eth0": 1] {
            for queue in 0..<queues { try add("sys/class/net/\(interface)/queues/rx-\(queue)/") }
            try add("sys/class/net/\(interface)/queues/tx-0/")
            try add("sys/class/net/\(interface)/ifindex")
            try add("sys/class/net/\(interface)/device/")
        }
        for interface in ["lo", "nk0"] { try add("sys/class/net/\(interface)/ifindex") }
        try add("sys/class/net/bonding_masters")
        for namespace in ["pod", "blue"] { try add("run/netns/\(namespace)") }
        for heap in ["system", "reserved"] { try add("dev/dma_heap/\(heap)") }
        for size in [1_048_576, 2048] { try add("sys/kernel/mm/hugepages/hugepages-\(size)kB/") }
        try add("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n")
        try add("proc/sys/net/ipv4/tcp_available_congestion_control", "reno cubic\n")
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Makes a file, or a folder if the path ends with a slash.
    private func add(_ path: String, _ text: String = "1\n") throws {
        let place = folder.appending(path: path)
        let isFolder = path.hasSuffix("/")
        try FileManager.default.createDirectory(
            at: isFolder ? place : place.deletingLastPathComponent(),
            withIntermediateDirectories: true)
        if !isFolder { try Data(text.utf8).write(to: place) }
    }
}

@Suite struct CompletionTests {
    @Test func wordsAreThoseOfTheHost() throws {
        let host = try Host()
        let words = host.words
        #expect(words.interfaces(hasDevice: true) == ["eth0", "eth1"])
        #expect(words.interfaces() == ["eth0", "eth1", "lo", "nk0"])
        #expect(words.queues(of: "eth1") == [0, 1, 2, 3])
        #expect(words.queues(of: "eth9") == [])
        #expect(words.lessees(typed: "") == ["nk0", "blue/", "pod/"])
        #expect(words.places() == ["netns:blue", "netns:pod", "ssh:"])
        #expect(
            words.providers() == [
                "auto", "udmabuf", "udmabuf:2M", "udmabuf:1G", "heap:reserved", "heap:system",
                "fd:", "unix:", "cuda", "rocm",
            ])
        #expect(words.users() == ["root", "www-data"])
        #expect(words.congestionControls() == ["reno", "cubic"])
    }

    @Test func interfacesOfAnotherNamespaceAreThoseInIt() throws {
        let host = try Host()
        // Entering a namespace, even one's own, takes a privilege.
        let isRoot = getuid() == 0
        #expect(
            host.words.lessees(typed: "/proc/self/ns/net/").contains("/proc/self/ns/net/lo")
                == isRoot)
        #expect(host.words.lessees(typed: "nowhere/") == [])
    }

    @Test func everyProviderAndPlaceCanBeParsed() throws {
        let host = try Host()
        // The rest of these is up to the user.
        for provider in host.words.providers() where !provider.hasSuffix(":") {
            #expect(throws: Never.self) {
                try Serve.parse(["-l", ":1", "--discard", "--provider", provider])
            }
        }
        for place in host.words.places() where !place.hasSuffix(":") {
            #expect(throws: Never.self) { try Validate.parse(["eth1", "--remote", place]) }
        }
    }

    @Test func queuesAreThoseOfTheInterfaceOnTheLine() throws {
        let host = try Host()
        func numbers(_ line: String) -> [String] {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            return host.words.queueNumbers(words.map(String.init), at: words.count - 1)
        }
        #expect(numbers("devmemtcp queue restart eth1 ") == ["0", "1", "2", "3"])
        // What is given is not given again, but what is being typed does not count.
        #expect(numbers("devmemtcp queue restart eth1 2 1") == ["0", "1", "3"])
        #expect(numbers("devmemtcp queue restart ") == [])
        // The name of an interface that is being typed is not chosen yet.
        #expect(numbers("devmemtcp queue restart eth1") == [])
    }

    @Test func listsOfQueuesContinueWhatIsTyped() throws {
        let host = try Host()
        func lists(_ line: String) -> [String] {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
                .map(String.init)
            let typed = words[words.count - 1]
            return host.words.queueLists(words, at: words.count - 1, typed: typed)
        }
        #expect(
            lists("devmemtcp bind eth1 --rx ") == ["auto", "last", "0", "1", "2", "3"])
        #expect(lists("devmemtcp serve --queues ") == ["auto", "last"])
        #expect(lists("devmemtcp serve -i eth1 --queues 1-") == ["1-2", "1-3"])
        #expect(lists("devmemtcp serve -i eth1 --queues 0,1,") == ["0,1,2", "0,1,3"])
        #expect(lists("devmemtcp serve -i eth1 --queues 0,2-") == ["0,2-3"])
        for list in lists("devmemtcp bind eth1 --rx 1-") + lists("devmemtcp bind eth1 --rx ") {
            #expect(QueueSelection(argument: list) != nil, "\(list)")
        }
    }

    @Test func everyOptionThatNamesSomethingOnTheHostIsCompleted() throws {
        let script = Devmemtcp.completionScript(for: .bash)
        let options = [
            "--interface'|'-i", "--queues", "--provider", "--remote", "--to", "--output'|'-o",
            "--input", "--csv", "--plot", "--config", "--prometheus-file", "--socket", "--user",
            "--congestion", "--spread", "--engine", "--cpus",
        ]
        for option in options {
            let cases = script.components(separatedBy: "    '\(option)')\n").dropFirst()
            #expect(!cases.isEmpty, "\(option)")
            for body in cases { #expect(!body.hasPrefix("        return"), "\(option)") }
        }
        // The first argument of these is an interface.
        let commands = [
            "doctor", "show", "steer_plan", "steer_apply", "steer_show", "steer_restore", "bind",
            "queue_restart", "queue_lease", "queue_unlease", "validate",
        ]
        for command in commands {
            let body = script.components(separatedBy: "\n_devmemtcp_\(command)() {\n").last
            let first = body?.components(separatedBy: "\n}\n").first ?? ""
            #expect(first.contains("---completion "), "\(command)")
            #expect(first.contains(" -- positional@0 "), "\(command)")
        }
    }

    /// Lines, each with what bash passes on of it and what the function must answer.
    @Test(arguments: [
        ("'devmemtcp serve --engine ' serve --engine ''", "auto socket io_uring"),
        ("'devmemtcp serve --duplex e' serve --duplex e", "echo"),
        ("'devmemtcp serve --duplex file:' serve --duplex file :", ""),
        ("'devmemtcp serve -l :5201 --spread o' serve -l : 5201 --spread o", "one-to-one"),
        ("'devmemtcp serve --provider fd' serve --provider fd", "fd:"),
        ("'devmemtcp validate eth1 --remote ssh' validate eth1 --remote ssh", "ssh:"),
        ("'devmemtcp connect --provider unix:' connect --provider unix :", ""),
        ("'devmemtcp bench run --peer-rx d' bench run --peer-rx d", "device"),
        ("'devmemtcp que' que", "queue"),
        ("'devmemtcp queue un' queue un", "unlease"),
        ("'devmemtcp serve --keep-o' serve --keep-o", "--keep-open"),
    ])
    func bashCompletes(line: String, answer: String) throws {
        let result = try CommandProcess.run(
            script: """
                set -u
                . <("$0" --generate-completion-script bash)
                # Called while no completion is under way, it fails.
                compopt() { :; }
                # The function calls the command by the first word.
                complete_line() {
                    COMP_LINE=$1 COMP_POINT=${#1}
                    shift
                    COMP_WORDS=(devmemtcp "$@") COMP_CWORD=$# COMPREPLY=()
                    local current=${COMP_WORDS[COMP_CWORD]#:}
                    _devmemtcp_joined devmemtcp "$current" "${COMP_WORDS[COMP_CWORD - 1]}"
                    printf '%s\\n' "${COMPREPLY[*]}"
                }
                program=$0
                devmemtcp() { "$program" "$@"; }
                set +u
                complete_line \(line)
                """)
        #expect(result.messages == "")
        #expect(result.output == answer + "\n")
        #expect(result.status == 0)
    }

    @Test func bashCompletesWhatFollowsAColon() throws {
        // The command is replaced by one that answers as on a host with two heaps.
        let result = try CommandProcess.run(
            script: """
                . <("$0" --generate-completion-script bash)
                compopt() { echo "compopt $*"; }
                devmemtcp() { printf '%s\\n' auto heap:system heap:reserved udmabuf; }
                COMP_LINE='devmemtcp serve --provider heap:sy' COMP_POINT=34
                COMP_WORDS=(devmemtcp serve --provider heap : sy) COMP_CWORD=5
                _devmemtcp_joined devmemtcp sy :
                printf '%s\\n' "${COMPREPLY[@]}"
                COMP_LINE='devmemtcp serve --provider heap:' COMP_POINT=32 COMPREPLY=()
                COMP_WORDS=(devmemtcp serve --provider heap :) COMP_CWORD=4
                _devmemtcp_joined devmemtcp '' heap
                printf '%s\\n' "${COMPREPLY[@]}"
                """)
        #expect(result.messages == "")
        // Names with colons are not file names, whose colons would be escaped.
        #expect(
            result.output == """
                compopt +o filenames
                system
                compopt +o filenames
                system
                reserved

                """)
    }

    /// The name of an interface, which a container may have chosen, is no command.
    @Test func bashRunsNoCommandInAWord() throws {
        let result = try CommandProcess.run(
            script: #"""
                . <("$0" --generate-completion-script bash)
                compopt() { :; }
                devmemtcp() { printf '%s\n' '$(echo>&2)' '`echo>&2`' '$HOME' "a'\\\"b" '' eth1; }
                COMP_LINE='devmemtcp show ' COMP_POINT=15
                COMP_WORDS=(devmemtcp show '') COMP_CWORD=2
                _devmemtcp_joined devmemtcp '' show
                printf '%s\n' "${COMPREPLY[@]}"
                COMP_LINE='devmemtcp show "e' COMP_POINT=17 COMPREPLY=()
                COMP_WORDS=(devmemtcp show '"e') COMP_CWORD=2
                _devmemtcp_joined devmemtcp '"e' show
                printf '%s\n' "${COMPREPLY[@]}"
                """#)
        #expect(result.messages == "")
        #expect(result.output == "$(echo>&2)\n`echo>&2`\n$HOME\na'\\\"b\neth1\neth1\n")
    }

    @Test func onlyTheScriptForBashIsChanged() {
        let fish = Devmemtcp.completionScript(for: .fish)
        #expect(CompletionScript.keepingColons(fish) == fish)
        #expect(CompletionScript.keepingColons("help") == "help")
        let bash = Devmemtcp.completionScript(for: .bash)
        let changed = CompletionScript.keepingColons(bash)
        #expect(changed != bash)
        #expect(changed.hasSuffix("\ncomplete -o filenames -F _devmemtcp_joined devmemtcp"))
        #expect(!changed.contains("-F _devmemtcp devmemtcp"))
    }
}
