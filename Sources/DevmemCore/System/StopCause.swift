/// A condition other than a signal that can end a session; checked while the session waits.
package protocol StopCause: AnyObject {
    /// The descriptor that is readable when there is something to check; -1 if there is none.
    var rawValue: Int32 { get }
    /// Checks without waiting; returns whether the session is to end.
    func look() -> Bool
}
