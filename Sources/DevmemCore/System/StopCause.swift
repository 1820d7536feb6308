/// What can end a session besides a signal, and is looked at while the session waits.
package protocol StopCause: AnyObject {
    /// The descriptor that can be read when there is something to look at; -1 if none ever can.
    var rawValue: Int32 { get }
    /// Looks, without waiting; returns whether the session shall end.
    func look() -> Bool
}
