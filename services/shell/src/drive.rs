use std::sync::Arc;

use rend_core::machine::Machine;
use rend_core::time::Clock;

use crate::shutdown::Shutdown;
use crate::sleep_until;

/// Drives `machine` until it has no deadline left or `shutdown` is requested.
///
/// `perform` does one output and answers with what came of it, if the machine is to be told. Outputs are performed one
/// after another: a machine that wants two things at once is two machines.
pub async fn drive<M, P>(mut machine: M, clock: Arc<dyn Clock>, mut shutdown: Shutdown, mut perform: P)
where
    M: Machine + Send,
    M::Output: Send,
    M::Input: Send,
    P: AsyncFnMut(M::Output) -> Option<M::Input>,
{
    loop {
        while let Some(output) = machine.poll() {
            if let Some(input) = perform(output).await {
                machine.handle(input, clock.mono());
            }
        }
        let Some(due) = machine.deadline() else { return };
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep_until(clock.as_ref(), due) => machine.wake(clock.mono()),
        }
    }
}
