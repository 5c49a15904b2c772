//! The dashboard's files, built in: a page without a build step, and uPlot for its charts.

/// The page.
pub(crate) const PAGE: &str = include_str!("dashboard/index.html");
/// What keeps it up to date.
pub(crate) const SCRIPT: &str = include_str!("dashboard/dashboard.js");
/// How it looks, in light and in dark.
pub(crate) const STYLE: &str = include_str!("dashboard/dashboard.css");
/// uPlot 1.6.32, MIT: small, without dependencies, and fast enough to draw ten minutes each second.
pub(crate) const CHART: &str = include_str!("dashboard/uplot.js");
/// Its style.
pub(crate) const CHART_STYLE: &str = include_str!("dashboard/uplot.css");
