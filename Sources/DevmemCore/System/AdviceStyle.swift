/// The words of a program for the parameters and commands in advice.
///
/// The style is a task-local value, because advice appears in errors, reports and log lines alike.
/// A program sets it once around its work, and threads started there inherit it.
package struct AdviceStyle: Sendable {
    /// Returns the program's word for a parameter; nil if it has no such parameter, and advice that
    /// names it is omitted.
    package var parameter: @Sendable (Advice.Parameter) -> String?
    /// Returns the program's words for a command.
    package var command: @Sendable (AdvisedCommand) -> String

    /// Creates a style from its functions.
    package init(
        parameter: @escaping @Sendable (Advice.Parameter) -> String?,
        command: @escaping @Sendable (AdvisedCommand) -> String
    ) {
        self.parameter = parameter
        self.command = command
    }

    /// The style with words that fit any program.
    package static let plain = AdviceStyle(parameter: { $0.plain }, command: { $0.plain })

    /// The current style.
    @TaskLocal package static var current = AdviceStyle.plain
}
