//! Scenario 4: `await` suspends, hands control back, and resumes with the result; errors travel through it.

use std::time::Duration;

async fn fetch(number: u32) -> Result<u32, String> {
    println!("fetch {number}: suspended");
    ourio::sleep(Duration::from_millis(5)).await;
    println!("fetch {number}: resumed");
    if number == 3 { Err(format!("{number} is not to be had")) } else { Ok(number * 10) }
}

async fn sum() -> Result<u32, String> {
    Ok(fetch(1).await? + fetch(2).await?)
}

async fn fails() -> Result<u32, String> {
    Ok(sum().await? + fetch(3).await?)
}

fn main() -> Result<(), ourio::Error> {
    assert_eq!(ourio::run(sum())?, Ok(30));
    let failed = ourio::run(fails())?;
    println!("two frames up: {failed:?}");
    assert_eq!(failed, Err("3 is not to be had".to_owned()));
    Ok(())
}
