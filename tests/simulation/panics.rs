//! Every panic of a history, also of its tasks, which the product outlives and only reports (I9).

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// `None`: no history is lived on this thread.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs it with an ear on the panics of this thread, which are not printed. A history has one thread.
pub fn heard<T>(history: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let note = |heard: &RefCell<Option<Vec<String>>>| match heard.borrow_mut().as_mut() {
                Some(heard) => heard.push(info.to_string().replace('\n', " ")),
                None => print(info),
            };
            HEARD.with(note);
        }));
    });
    HEARD.set(Some(Vec::new()));
    let lived = history();
    (lived, HEARD.take().unwrap_or_default())
}
