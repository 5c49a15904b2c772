//! Each complaint of tidy's, by planting its cause in a small house that has none.

mod house_edges;
mod limits;
mod manners;
mod picture;
mod planted;
mod python_doors;
mod rust_doors;
mod table;

use planted::House;
