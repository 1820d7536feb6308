import ArgumentParser

/// Parses command lines, those of frequent commands in a third of the time.
enum CommandLineParser {
    /// The commands that are parsed alone: they have no subcommands, and pass no arguments on to
    /// another program.
    private static let alone: [any ParsableCommand.Type] = [Serve.self, Connect.self]

    /// Parses the arguments after the program's name.
    ///
    /// - Throws: the argument parser's error, which names every command on the way.
    static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        // Whatever a command alone does not understand may be a request for help, a version or a
        // completion script. The whole tree answers those, and words errors.
        if let command = parseAlone(arguments) { return command }
        return try Devmemtcp.parseAsRoot(arguments)
    }

    /// Parses the arguments of a command that stands first; nil if none does, or if it does not
    /// accept them all.
    static func parseAlone(_ arguments: [String]) -> (any ParsableCommand)? {
        guard let name = arguments.first,
            let type = alone.first(where: { $0.configuration.commandName == name }),
            let command = try? type.parseAsRoot(Array(arguments.dropFirst())),
            Swift.type(of: command) == type
        else { return nil }
        return command
    }
}
