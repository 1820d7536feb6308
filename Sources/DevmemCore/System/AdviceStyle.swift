/// How a program writes what advice names.
///
/// It is a value that holds for a scope, and for threads that are started there, because advice ends
/// up in errors, reports and log lines alike: with one style around its work a program says it in the
/// same words everywhere, and nothing between has to hand the style on.
package struct AdviceStyle: Sendable {
    /// The words for what a request can vary; nil if the program cannot vary it, and then advice
    /// that names it is not given.
    package var parameter: @Sendable (Advice.Parameter) -> String?
    /// The words for a command.
    package var command: @Sendable (AdvisedCommand) -> String

    /// Makes a style from its words.
    package init(
        parameter: @escaping @Sendable (Advice.Parameter) -> String?,
        command: @escaping @Sendable (AdvisedCommand) -> String
    ) {
        self.parameter = parameter
        self.command = command
    }

    /// Words that every program's user understands.
    package static let plain = AdviceStyle(parameter: { $0.plain }, command: { $0.plain })

    /// The style that holds here.
    @TaskLocal package static var current = AdviceStyle.plain
}
