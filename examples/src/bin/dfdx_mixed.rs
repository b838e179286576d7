//! Trains a graph file between two dfdx layers and prints how the loss falls.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let losses = sward_examples::dfdx_mixed::train(500)?;
    for (step, loss) in losses.iter().enumerate().filter(|(step, _)| step % 50 == 0 || step + 1 == losses.len()) {
        println!("step {step:>4}  loss {loss:.5}");
    }
    Ok(())
}
