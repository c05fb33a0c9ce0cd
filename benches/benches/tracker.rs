//! One frame of a feed with four pieces of ink on it: 33 ms are there for it at 30 a second, 5 are its budget.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;
use benches::track::Scene;
use benches::track::tissue::{Tissue, What};
use criterion::{Criterion, criterion_group, criterion_main};
use tracker::feed::FeedTracker;
use tracker::luma::{Kind, Luma};

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("tracker");
    let at = |k: usize| CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(33 * k as u64));
    for what in [What::Breathing, What::HandHeld, What::Deformation] {
        let mut scene = Tissue::new(what, 7);
        let frames: Vec<Arc<Luma>> = (0..90).map(|k| Arc::new(scene.luma(k))).collect();
        let mut tracker = FeedTracker::new(Kind::Tissue, 1);
        for (id, (_, ink)) in scene.strokes().into_iter().enumerate() {
            tracker.begin(id, &ink, &[(at(0), frames[0].clone())]);
        }
        // Forth and back, so that there is no leap.
        let mut k = 0usize;
        group.bench_function(format!("four anchors, {}", what.name()), |b| {
            b.iter(|| {
                k += 1;
                let n = k % (2 * frames.len() - 2);
                let n = if n < frames.len() { n } else { 2 * frames.len() - 2 - n };
                tracker.handle_frame(at(k), &frames[n])
            });
        });
    }
    let large = vec![128u8; 1280 * 720];
    group.bench_function("luma of 1280x720", |b| b.iter(|| Luma::shrink(&large, 1280, 1280, 720)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = frames
}
criterion_main!(benches);
