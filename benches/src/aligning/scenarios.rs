//! The rooms that are rehearsed: which feeds, which paths, which clocks.

use pipeline::program::align::Timing;

use super::{ClockPlan, FeedPlan, Scenario};

const SCOPE: FeedPlan =
    FeedPlan { hz: 30.0, drift_ppm: 0.0, delay_ms: 8.0, jitter_ms: 1.0, offset_ms: 8.0, drops: 0.0, dies: false };

fn feed(hz: f64, drift_ppm: f64) -> FeedPlan {
    FeedPlan { hz, drift_ppm, ..SCOPE }
}

fn scenario(name: &'static str, insets: &[FeedPlan]) -> Scenario {
    let feeds = std::iter::once(SCOPE).chain(insets.iter().copied()).collect();
    Scenario { name, feeds, clock: ClockPlan::default(), timing: Timing::Aligned, layout: "field-large" }
}

pub fn scenarios() -> Vec<Scenario> {
    let four = [feed(7.5, 11.0), feed(15.0, -17.0), feed(30.0, 40.0), feed(60.0, 23.0)];
    let jitter = |ms: f64| four.map(|f| FeedPlan { jitter_ms: ms, offset_ms: 8.0 + 0.8 * ms, ..f });
    let late = four.map(|f| FeedPlan { delay_ms: 50.0, offset_ms: 50.0, ..f });
    let sixty = FeedPlan { hz: 60.0, ..SCOPE };
    // Steps of the server's clock, one after the other, as fast as the timeline follows any: 10 ms in 20 s.
    let slew = |n: u32| (10.0 + 20.0 * f64::from(n), [500.0, -500.0, 0.0][n as usize % 3]);
    let slews = ClockPlan { engine_ppm: 30.0, slews: std::iter::once((0.0, 0.0)).chain((0..180).map(slew)).collect() };
    let fast = FeedPlan { drift_ppm: 200.0, ..SCOPE };
    vec![
        scenario("four cadences", &four),
        scenario("jitter 5 ms", &jitter(5.0)),
        scenario("jitter 15 ms", &jitter(15.0)),
        scenario("paths of 50 ms", &late),
        Scenario {
            layout: "wall",
            ..scenario("wall, paths of 150 ms", &four.map(|f| FeedPlan { delay_ms: 150.0, offset_ms: 150.0, ..f }))
        },
        scenario("later than the bound", &four.map(|f| FeedPlan { delay_ms: 120.0, offset_ms: 120.0, hz: 30.0, ..f })),
        scenario("sources 200 ppm fast and slow", &[feed(30.0, 200.0), feed(15.0, -200.0), feed(60.0, 200.0), feed(7.5, -200.0)]),
        Scenario { feeds: std::iter::once(fast).chain(four).collect(), ..scenario("main feed 200 ppm fast", &four) },
        Scenario { clock: slews, ..scenario("clock slewed after steps", &four) },
        scenario("1 % of frames dropped", &four.map(|f| FeedPlan { drops: 0.01, ..f })),
        scenario("dying and returning", &four.map(|f| FeedPlan { dies: true, ..f })),
        Scenario { feeds: std::iter::once(sixty).chain(four).collect(), ..scenario("main feed of 60", &four) },
        Scenario { timing: Timing::Now, ..scenario("now, paths of 50 ms", &late) },
    ]
}
