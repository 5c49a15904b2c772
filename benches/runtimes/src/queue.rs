//! The queue of those that have none of their own.

pub(crate) struct Sender(async_channel::Sender<u32>);
pub(crate) struct Receiver(async_channel::Receiver<u32>);

pub(crate) fn channel() -> (Sender, Receiver) {
    let (sender, receiver) = async_channel::bounded(1);
    (Sender(sender), Receiver(receiver))
}

impl Sender {
    pub(crate) async fn send(&self, value: u32) {
        self.0.send(value).await.expect("somebody receives");
    }
}

impl Receiver {
    pub(crate) async fn receive(&mut self) -> u32 {
        self.0.recv().await.expect("somebody sends")
    }
}
